"""VariantService.fetch: from memory, from the store, or derived once for all callers."""

import asyncio
from pathlib import Path

import pytest

from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, listing, rendering_of, sample
from tests.unit.proxy.variants.fetched import LateLeases, Make, derived, tiers


class TestTiers:
    async def test_first_fetch_derives_and_second_is_from_memory(
        self, variant_service: VariantService, recipes: Recipes, upload_id: UploadId, variant: Variant, metrics: Metrics
    ) -> None:
        cold = await variant_service.fetch(upload_id, variant)
        hot = await variant_service.fetch(upload_id, variant)

        assert cold.tier is Tier.DERIVED
        assert cold.encoded.body == rendering_of(b"an original", recipes.target(variant))
        assert cold.encoded.recipe == recipes.fingerprint(variant)
        assert cold.timings == {"decode": 0.25, "resize": 0.125, "encode": 0.0625}
        assert hot.tier is Tier.MEMORY
        assert hot.encoded is cold.encoded
        assert hot.timings == {}
        assert tiers(metrics) == {"derived": 1, "hot": 1}
        assert derived(metrics) == 1

    async def test_missing_variant_costs_a_get_a_head_and_a_download_at_live_priority(
        self,
        variant_service: VariantService,
        store: CountingStore,
        pool: FakePool,
        upload_id: UploadId,
        variant: Variant,
    ) -> None:
        await variant_service.fetch(upload_id, variant)

        original = original_key(upload_id)
        assert store.calls[:3] == [("get", variant_key(upload_id, variant)), ("head", original), ("download", original)]
        assert pool.priorities == [Priority.LIVE]
        assert pool.estimates == [1000 + len(b"an original")]

    async def test_derived_variant_is_written_back(
        self,
        variant_service: VariantService,
        store: CountingStore,
        upload_id: UploadId,
        variant: Variant,
        metrics: Metrics,
    ) -> None:
        fetched = await variant_service.fetch(upload_id, variant)
        await variant_service.drain()

        stored = await store.inner.get(variant_key(upload_id, variant))
        assert stored.body == fetched.encoded.body
        assert stored.info.metadata == fetched.encoded.metadata
        assert sample(metrics, "darkroom_write_backs_total", outcome="stored") == 1

    async def test_other_process_finds_stored_variant_with_one_get(
        self, make: Make, store: CountingStore, upload_id: UploadId, variant: Variant, metrics: Metrics
    ) -> None:
        first, second = make(), make()
        made = await first.fetch(upload_id, variant)
        await first.drain()
        store.calls.clear()

        found = await second.fetch(upload_id, variant)
        again = await second.fetch(upload_id, variant)

        assert found.tier is Tier.STORED
        assert again.tier is Tier.MEMORY
        assert (found.encoded.body, found.encoded.etag) == (made.encoded.body, made.encoded.etag)
        assert store.calls == [("get", variant_key(upload_id, variant))]
        assert tiers(metrics) == {"derived": 1, "stored": 1, "hot": 1}

    async def test_fetch_without_memory_cache_reads_the_store(
        self, make: Make, upload_id: UploadId, variant: Variant
    ) -> None:
        variant_service = make(memory_cache_bytes=0)
        await variant_service.fetch(upload_id, variant)
        await variant_service.drain()

        answers = [await variant_service.fetch(upload_id, variant) for _ in range(2)]

        assert [answer.tier for answer in answers] == [Tier.STORED, Tier.STORED]

    async def test_stages_are_observed(
        self, variant_service: VariantService, upload_id: UploadId, variant: Variant, metrics: Metrics
    ) -> None:
        await variant_service.fetch(upload_id, variant)

        assert sample(metrics, "darkroom_stage_seconds_sum", stage="decode") == 0.25
        assert sample(metrics, "darkroom_stage_seconds_sum", stage="encode") == 0.0625

    async def test_downloaded_original_is_removed(
        self, variant_service: VariantService, upload_id: UploadId, variant: Variant, temporary: Path
    ) -> None:
        await variant_service.fetch(upload_id, variant)

        assert listing(temporary) == []


class TestManyCallers:
    async def test_concurrent_fetches_of_a_missing_variant_cost_one_derivation(
        self,
        *,
        variant_service: VariantService,
        store: CountingStore,
        pool: FakePool,
        upload_id: UploadId,
        variant: Variant,
        metrics: Metrics,
    ) -> None:
        gate = pool.hold()
        callers = [asyncio.create_task(variant_service.fetch(upload_id, variant)) for _ in range(64)]
        await gate.reached.wait()
        gate.open()

        answers = await asyncio.gather(*callers)

        assert pool.renderings == 1
        assert derived(metrics) == 1
        assert [answer.tier for answer in answers] == [Tier.DERIVED] + [Tier.COLLAPSED] * 63
        assert tiers(metrics) == {"derived": 1, "collapsed": 63}
        assert {answer.encoded.body for answer in answers} == {answers[0].encoded.body}
        assert all(answer.timings == {} for answer in answers[1:])
        assert (store.count("get"), store.count("download")) == (1, 1)

    async def test_variant_that_another_process_stores_after_the_look_up_is_not_derived_again(
        self, *, make: Make, pool: FakePool, upload_id: UploadId, variant: Variant, tmp_path: Path
    ) -> None:
        first = make(leases=FileLeaseStore(tmp_path))

        async def derive_elsewhere() -> None:
            await first.fetch(upload_id, variant)
            await first.drain()

        fetched = await make(leases=LateLeases(tmp_path, derive_elsewhere)).fetch(upload_id, variant)

        assert fetched.tier is Tier.COLLAPSED
        assert pool.renderings == 1

    async def test_different_variants_are_derived_separately(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId, variant: Variant
    ) -> None:
        single = Variant(variant.size, variant.format)

        first, second = await asyncio.gather(
            variant_service.fetch(upload_id, variant), variant_service.fetch(upload_id, single)
        )

        assert first.tier is second.tier is Tier.DERIVED
        assert first.encoded.body != second.encoded.body
        assert pool.renderings == 2

    @pytest.mark.promise("C8")
    async def test_cancelled_callers_do_not_cancel_the_derivation(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId, variant: Variant, metrics: Metrics
    ) -> None:
        gate = pool.hold()
        callers = [asyncio.create_task(variant_service.fetch(upload_id, variant)) for _ in range(10)]
        await gate.reached.wait()
        for caller in callers[:9]:
            caller.cancel()
        await asyncio.wait(callers[:9])
        gate.open()

        answer = await callers[9]

        assert answer.tier is Tier.COLLAPSED
        assert pool.renderings == 1
        assert tiers(metrics) == {"collapsed": 1}

    @pytest.mark.promise("C8")
    async def test_derivation_is_completed_and_stored_if_all_callers_are_cancelled(
        self,
        variant_service: VariantService,
        store: CountingStore,
        pool: FakePool,
        upload_id: UploadId,
        variant: Variant,
    ) -> None:
        gate = pool.hold()
        callers = [asyncio.create_task(variant_service.fetch(upload_id, variant)) for _ in range(3)]
        await gate.reached.wait()
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        gate.open()
        await variant_service.drain()

        assert (await variant_service.fetch(upload_id, variant)).tier is Tier.MEMORY
        assert variant_key(upload_id, variant) in await store.keys()
        assert pool.renderings == 1
