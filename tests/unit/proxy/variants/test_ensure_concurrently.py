"""VariantService.ensure beside live requests, on failures, and when it is stopped."""

import asyncio

from proxy.imaging.target import Measured
from proxy.keys import variant_key
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.variants.results import Ensured, Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, eventually
from tests.unit.proxy.variants.ensured import ALL, ORDER, ensured, start_and_hold
from tests.unit.proxy.variants.stale import put_stale


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
        result, _ = await asyncio.gather(warm_up, live)

        stored = await store.inner.head(variant_key(upload_id, variant))
        for gate in gates:
            gate.open()
        assert stored.metadata["recipe"] == recipes.fingerprint(variant)
        assert result[variant].seconds is not None

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
