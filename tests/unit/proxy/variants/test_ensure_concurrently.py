"""The warm-up beside live requests, in trouble, and stopped half-way."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from proxy.errors import RenderFailed, ServiceError, StoreUnavailable, Undecodable, UnknownUpload
from proxy.imaging.target import Measured
from proxy.keys import variant_key
from proxy.model import Fit, Size, Sizes, UploadId, Variant, new_upload_id
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.telemetry import Metrics
from proxy.variants.results import Ensured, Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, Gate, eventually, listing, sample
from tests.unit.proxy.variants.stale import put_stale

Make = Callable[..., VariantService]
SIZES = Sizes(Size("small", 150, 150, Fit.COVER), Size("wide", 600, None, Fit.INSIDE))
ALL = SIZES.standard


async def ensured(
    variant_service: VariantService, upload_id: UploadId, variants: Sequence[Variant] = ALL
) -> dict[Variant, Ensured]:
    """By variant; each may come once only."""
    found = [one async for one in variant_service.ensure(upload_id, variants)]
    assert len({one.variant for one in found}) == len(found)
    return {one.variant: one for one in found}


class TestBesideLiveRequests:
    async def test_who_asks_for_a_variant_in_the_making_gets_it_from_here(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate = pool.hold(3)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await gate.reached.wait()

        live = [asyncio.create_task(variant_service.fetch(upload_id, ALL[0])) for _ in range(3)]
        await asyncio.sleep(0)
        gate.open()
        answers = await asyncio.gather(*live)
        await warm_up

        assert [answer.tier for answer in answers] == [Tier.COLLAPSED] * 3
        assert len(pool.requests) == 1
        assert pool.renderings == len(ALL)

    async def test_a_variant_that_a_live_request_is_making_is_not_made_twice(
        self, variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
    ) -> None:
        pool.measured = Measured(83, 80.25)
        gate = pool.hold(1)
        live = asyncio.create_task(variant_service.fetch(upload_id, ALL[0]))
        await gate.reached.wait()
        last = pool.hold(len(ALL))
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await last.reached.wait()

        last.open()
        gate.open()
        result, answer = await warm_up, await live

        assert answer.tier is Tier.DERIVED
        assert set(result) == set(ALL)
        assert result[ALL[0]] == Ensured(ALL[0], len(answer.encoded.body), None, pool.measured)
        assert pool.renderings == len(ALL)
        assert variant_key(upload_id, ALL[0]) in await store.keys()

    async def test_a_stale_variant_that_a_live_request_is_reading_is_derived_anew_all_the_same(
        self,
        *,
        variant_service: VariantService,
        store: CountingStore,
        pool: FakePool,
        recipes: Recipes,
        upload_id: UploadId,
    ) -> None:
        *others, variant = ALL[:5]
        for each in (*others, variant):
            await put_stale(store, upload_id, each)
        gates = [pool.hold(number) for number in (1, 2, 3, 4)]
        for other in others:  # as many refreshes as there may be, so that none will help
            await variant_service.fetch(upload_id, other)
        await asyncio.gather(*(gate.reached.wait() for gate in gates))
        reading = store.hold("get")
        live = asyncio.create_task(variant_service.fetch(upload_id, variant))
        await reading.reached.wait()

        warm_up = asyncio.create_task(ensured(variant_service, upload_id, [variant]))
        await eventually(lambda: len(pool.priorities) == 5)
        reading.open()
        await asyncio.gather(live, warm_up)

        stored = await store.inner.head(variant_key(upload_id, variant))
        for gate in gates:
            gate.open()
        assert stored.metadata["recipe"] == recipes.fingerprint(variant)

    async def test_nothing_is_rendered_for_a_variant_that_a_live_request_is_making(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate = pool.hold(1)
        live = asyncio.create_task(variant_service.fetch(upload_id, ALL[0]))
        await gate.reached.wait()

        warm_up = asyncio.create_task(ensured(variant_service, upload_id, ALL[:1]))
        await eventually(lambda: len(pool.priorities) == 2 and pool.in_use == 1)  # it came, and found nothing to do
        gate.open()
        await asyncio.gather(live, warm_up)

        assert pool.renderings == 1

    async def test_no_live_request_waits_behind_a_warm_up_that_waits_for_a_process(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        entrance = pool.hold_entrance(Priority.BACKGROUND)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await entrance.reached.wait()

        answers = [await variant_service.fetch(upload_id, variant) for variant in ALL]
        entrance.open()
        await warm_up

        assert {answer.tier for answer in answers} == {Tier.DERIVED}

    async def test_a_variant_is_served_as_soon_as_it_is_made(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate = pool.hold(2)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await gate.reached.wait()

        assert (await variant_service.fetch(upload_id, ALL[-1])).tier is Tier.MEMORY

        gate.open()
        await warm_up


class TestFailures:
    async def test_an_unknown_upload_is_said(
        self, variant_service: VariantService, pool: FakePool, temporary: Path
    ) -> None:
        with pytest.raises(UnknownUpload):
            await ensured(variant_service, new_upload_id())

        assert pool.in_use == 0
        assert listing(temporary) == []

    @pytest.mark.parametrize("failure", [Undecodable("Broken."), RenderFailed()], ids=["corrupt", "crash"])
    async def test_what_the_original_does_wrong_reaches_the_warm_up_and_whoever_joined_it(
        self,
        variant_service: VariantService,
        pool: FakePool,
        upload_id: UploadId,
        metrics: Metrics,
        failure: ServiceError,
    ) -> None:
        pool.failure = failure
        gate = pool.hold(1)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await gate.reached.wait()
        live = asyncio.create_task(variant_service.fetch(upload_id, ALL[3]))
        await asyncio.sleep(0)

        gate.open()
        results = await asyncio.gather(warm_up, live, return_exceptions=True)

        assert results == [failure, failure]
        assert pool.in_use == 0
        labels = {"size": ALL[3].size_name, "format": ALL[3].format, "outcome": failure.code}
        assert sample(metrics, "darkroom_derivations_total", **labels) == 1

    async def test_a_store_that_goes_away_fails_it_and_releases_everything(
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
        assert (await variant_service.fetch(upload_id, ALL[0])).tier is Tier.MEMORY  # rendered, though not stored
        assert set(await ensured(variant_service, upload_id)) == set(ALL)

    async def test_a_delete_meanwhile_stops_it_and_leaves_nothing(
        self, variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate = pool.hold(3)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await gate.reached.wait()

        await variant_service.delete_upload(upload_id)
        gate.open()

        with pytest.raises(UnknownUpload):
            await warm_up
        assert await store.keys() == []
        with pytest.raises(UnknownUpload):
            await variant_service.fetch(upload_id, ALL[-1])


class TestAbandoned:
    async def test_closing_it_releases_everything(
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

    async def test_whoever_waited_for_it_is_told_to_try_again(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate: Gate = pool.hold(2)
        async with aclosing(variant_service.ensure(upload_id, ALL)) as warm_up:
            await anext(warm_up)
            await gate.reached.wait()
            live = asyncio.create_task(variant_service.fetch(upload_id, ALL[0]))
            await asyncio.sleep(0)

        with pytest.raises(RenderFailed) as caught:
            await live
        assert caught.value.retry_after == 1
        assert (await variant_service.fetch(upload_id, ALL[0])).tier is Tier.DERIVED

    async def test_cancelling_it_releases_everything(
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
