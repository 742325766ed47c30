"""VariantService.ensure on failures, and abandoned by its caller."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from proxy.errors import RenderFailed, ServiceError, StoreUnavailable, Undecodable, UnknownUpload
from proxy.keys import variant_key
from proxy.model import UploadId, new_upload_id
from proxy.telemetry import Metrics
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, Gate, eventually, listing, sample
from tests.unit.proxy.variants.ensured import ALL, ORDER, ensured, start_and_hold


class TestFailures:
    async def test_unknown_upload_raises(
        self, variant_service: VariantService, pool: FakePool, temporary: Path
    ) -> None:
        with pytest.raises(UnknownUpload):
            await ensured(variant_service, new_upload_id())

        assert pool.in_use == 0
        assert listing(temporary) == []

    @pytest.mark.parametrize("failure", [Undecodable("Broken."), RenderFailed()], ids=["corrupt", "crash"])
    async def test_undecodable_original_fails_ensure_and_joined_fetches(
        self,
        variant_service: VariantService,
        pool: FakePool,
        upload_id: UploadId,
        metrics: Metrics,
        failure: ServiceError,
    ) -> None:
        pool.failure = failure
        gate, warm_up = await start_and_hold(variant_service, pool, upload_id, rendering=1)
        live = asyncio.create_task(variant_service.fetch(upload_id, ORDER[0]))
        await asyncio.sleep(0)

        gate.open()
        results = await asyncio.gather(warm_up, live, return_exceptions=True)

        assert results == [failure, failure]
        assert pool.in_use == 0
        labels = {"size": ORDER[0].size_name, "format": ORDER[0].format, "outcome": failure.code}
        assert sample(metrics, "darkroom_derivations_total", **labels) == 1

    async def test_store_failure_fails_ensure_and_releases_everything(
        self,
        variant_service: VariantService,
        store: CountingStore,
        pool: FakePool,
        upload_id: UploadId,
        temporary: Path,
    ) -> None:
        store.fail("put")

        with pytest.raises(StoreUnavailable):
            await ensured(variant_service, upload_id)

        assert pool.in_use == 0
        await eventually(lambda: listing(temporary) == [])
        assert (await variant_service.fetch(upload_id, ALL[0])).tier is Tier.MEMORY  # rendered, but not stored
        assert set(await ensured(variant_service, upload_id)) == set(ALL)

    async def test_concurrent_deletion_stops_ensure_and_leaves_nothing(
        self, variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate, warm_up = await start_and_hold(variant_service, pool, upload_id, rendering=3)

        await variant_service.delete_upload(upload_id)
        gate.open()

        with pytest.raises(UnknownUpload):
            await warm_up
        assert await store.keys() == []
        with pytest.raises(UnknownUpload):
            await variant_service.fetch(upload_id, ALL[-1])


class TestAbandoned:
    async def test_closing_the_generator_releases_everything(
        self,
        variant_service: VariantService,
        store: CountingStore,
        pool: FakePool,
        upload_id: UploadId,
        temporary: Path,
    ) -> None:
        gate: Gate = pool.hold(2)
        async with aclosing(variant_service.ensure(upload_id, ALL)) as warm_up:
            first = await anext(warm_up)
            await gate.reached.wait()

        assert pool.in_use == 0
        assert variant_key(upload_id, first.variant) in await store.keys()
        assert (await variant_service.fetch(upload_id, ALL[0])).tier is Tier.DERIVED
        await eventually(lambda: listing(temporary) == [])

    async def test_joined_fetch_of_abandoned_ensure_raises_with_retry_after(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate: Gate = pool.hold(2)
        async with aclosing(variant_service.ensure(upload_id, ALL)) as warm_up:
            await anext(warm_up)
            await gate.reached.wait()
            live = asyncio.create_task(variant_service.fetch(upload_id, ORDER[1]))
            await asyncio.sleep(0)

        with pytest.raises(RenderFailed) as caught:
            await live
        assert caught.value.retry_after == 1
        assert (await variant_service.fetch(upload_id, ORDER[1])).tier is Tier.DERIVED

    async def test_cancelling_ensure_releases_everything(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId, temporary: Path
    ) -> None:
        gate: Gate = pool.hold(2)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await gate.reached.wait()

        warm_up.cancel()
        await asyncio.wait([warm_up])

        assert warm_up.cancelled()
        assert pool.in_use == 0
        assert (await variant_service.fetch(upload_id, ALL[0])).tier is Tier.DERIVED
        await eventually(lambda: listing(temporary) == [])
