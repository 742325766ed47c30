"""VariantService.ensure beside live requests, on failures, and when it is stopped."""

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
ALL = SIZES.variants
ORDER = ALL[::-1]
"""The order in which the fake pool renders."""


async def ensured(
    variant_service: VariantService, upload_id: UploadId, variants: Sequence[Variant] = ALL
) -> dict[Variant, Ensured]:
    """Results by variant; fails if one comes twice."""
    found = [one async for one in variant_service.ensure(upload_id, variants)]
    assert len({one.variant for one in found}) == len(found)
    return {one.variant: one for one in found}


async def start_and_hold(
    variant_service: VariantService, pool: FakePool, upload_id: UploadId, rendering: int
) -> tuple[Gate, asyncio.Task[dict[Variant, Ensured]]]:
    """Starts `ensured` and returns when that rendering, counted from 1, waits at the gate."""
    gate = pool.hold(rendering)
    warm_up = asyncio.create_task(ensured(variant_service, upload_id))
    await gate.reached.wait()
    return gate, warm_up


class TestBesideLiveRequests:
    async def test_fetch_joins_a_running_ensure(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate, warm_up = await start_and_hold(variant_service, pool, upload_id, rendering=3)

        live = [asyncio.create_task(variant_service.fetch(upload_id, ORDER[2])) for _ in range(3)]
        await asyncio.sleep(0)
        gate.open()
        answers = await asyncio.gather(*live)
        await warm_up

        assert [answer.tier for answer in answers] == [Tier.COLLAPSED] * 3
        assert len(pool.requests) == 1
        assert pool.renderings == len(ALL)

    async def test_ensure_joins_a_running_fetch(
        self, variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
    ) -> None:
        pool.measured = Measured(83, 80.25)
        gate = pool.hold(1)
        live = asyncio.create_task(variant_service.fetch(upload_id, ALL[0]))
        await gate.reached.wait()
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await eventually(lambda: pool.renderings == len(ALL) and pool.in_use == 1)

        gate.open()
        result, answer = await warm_up, await live

        assert answer.tier is Tier.DERIVED
        assert set(result) == set(ALL)
        assert result[ALL[0]] == Ensured(ALL[0], len(answer.encoded.body), None, pool.measured)
        assert pool.renderings == len(ALL)
        assert variant_key(upload_id, ALL[0]) in await store.keys()

    async def test_ensure_replaces_a_stale_variant_that_a_fetch_is_reading(
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
        for other in others:  # uses up all refreshes
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

    async def test_ensure_renders_nothing_if_a_fetch_derives_the_variant(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate = pool.hold(1)
        live = asyncio.create_task(variant_service.fetch(upload_id, ALL[0]))
        await gate.reached.wait()

        warm_up = asyncio.create_task(ensured(variant_service, upload_id, ALL[:1]))
        await eventually(
            lambda: len(pool.priorities) == 2 and pool.in_use == 1
        )  # it got its process and found nothing to do
        gate.open()
        await asyncio.gather(live, warm_up)

        assert pool.renderings == 1

    async def test_fetch_does_not_wait_for_an_ensure_that_waits_for_a_process(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        entrance = pool.hold_entrance(Priority.BACKGROUND)
        warm_up = asyncio.create_task(ensured(variant_service, upload_id))
        await entrance.reached.wait()

        answers = [await variant_service.fetch(upload_id, variant) for variant in ALL]
        entrance.open()
        await warm_up

        assert {answer.tier for answer in answers} == {Tier.DERIVED}

    async def test_variant_is_served_before_ensure_ends(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate, warm_up = await start_and_hold(variant_service, pool, upload_id, rendering=2)

        assert (await variant_service.fetch(upload_id, ALL[-1])).tier is Tier.MEMORY

        gate.open()
        await warm_up

    async def test_fetch_derives_a_variant_that_ensure_has_not_begun(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate, warm_up = await start_and_hold(variant_service, pool, upload_id, rendering=1)

        answers = [await variant_service.fetch(upload_id, variant) for variant in ORDER[1:]]
        gate.open()

        assert {answer.tier for answer in answers} == {Tier.DERIVED}
        assert set(await warm_up) == set(ALL)
        assert pool.renderings == len(ALL)

    async def test_ensure_releases_its_process_after_a_variant_while_live_requests_wait(
        self, variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
    ) -> None:
        gate, warm_up = await start_and_hold(variant_service, pool, upload_id, rendering=2)
        entrance = pool.hold_entrance(Priority.BACKGROUND)
        pool.live_waiting = True

        gate.open()
        await entrance.reached.wait()
        assert (pool.renderings, pool.in_use) == (2, 0)
        assert (await variant_service.fetch(upload_id, ORDER[2])).tier is Tier.DERIVED

        pool.live_waiting = False
        entrance.open()
        assert set(await warm_up) == set(ALL)
        assert len(pool.requests) == 3
        assert pool.renderings == len(ALL)
        assert store.count("download") == 2

    async def test_ensure_renders_at_least_one_variant_a_turn(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        pool.live_waiting = True

        assert set(await ensured(variant_service, upload_id)) == set(ALL)
        assert len(pool.requests) == pool.renderings == len(ALL)


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

    async def test_joined_fetch_of_abandoned_ensure_is_told_to_retry(
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
