"""VariantService.fetch while the store fails, and at its deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import DerivationTimeout, Overloaded, StoreUnavailable, UnknownUpload
from proxy.keys import original_key, variant_key
from proxy.model import Fit, Format, Size, UploadId, Variant, new_upload_id
from proxy.telemetry import Metrics
from proxy.variants.leases.lease_store import NoLeases
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, listing, sample
from tests.unit.proxy.variants.fetched import Make, derived, tiers


class TestStoreAway:
    @pytest.mark.parametrize(("operation", "failed_derivations"), [("get", 0), ("download", 1)])
    async def test_failed_read_raises_is_counted_and_not_cached(
        self,
        *,
        variant_service: VariantService,
        store: CountingStore,
        upload_id: UploadId,
        variant: Variant,
        metrics: Metrics,
        operation: str,
        failed_derivations: int,
    ) -> None:
        store.fail(operation)

        with pytest.raises(StoreUnavailable):
            await variant_service.fetch(upload_id, variant)

        assert (await variant_service.fetch(upload_id, variant)).tier is Tier.DERIVED
        assert tiers(metrics) == {"refused": 1, "derived": 1}
        assert derived(metrics, "store_unavailable") == failed_derivations
        assert derived(metrics) == 1

    @pytest.mark.heavy
    async def test_failed_write_back_does_not_affect_the_caller(
        self, variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        store.fail("put", 1)

        answer = await variant_service.fetch(upload_id, variant)
        await variant_service.drain()

        assert answer.tier is Tier.DERIVED
        assert store.count("put") == 2
        assert (await store.inner.get(variant_key(upload_id, variant))).body == answer.encoded.body

    async def test_fetch_does_not_wait_for_the_write_back(
        self, variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        gate = store.hold("put")

        answer = await variant_service.fetch(upload_id, variant)
        await gate.reached.wait()
        draining = asyncio.create_task(variant_service.drain())
        again = await variant_service.fetch(upload_id, variant)

        assert (answer.tier, again.tier) == (Tier.DERIVED, Tier.MEMORY)
        assert not draining.done()
        assert variant_key(upload_id, variant) not in await store.keys()
        gate.open()
        await draining
        assert variant_key(upload_id, variant) in await store.keys()


@pytest.mark.slow
async def test_variants_beyond_the_write_back_limit_are_served_but_not_stored(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId, metrics: Metrics
) -> None:
    """At most 256 write-backs run at once, since each holds a body in memory."""
    variants = [Variant(Size(f"s{side}", side, None, Fit.INSIDE), Format.JPG) for side in range(100, 358)]
    gate = store.hold("put")

    answers = [await variant_service.fetch(upload_id, variant) for variant in variants]
    gate.open()
    await variant_service.drain()

    assert {answer.tier for answer in answers} == {Tier.DERIVED}
    assert sample(metrics, "darkroom_write_backs_total", outcome="stored") == 256
    assert sample(metrics, "darkroom_write_backs_total", outcome="skipped") == 2
    assert len(await store.keys("images/")) == 256


class TestDeadline:
    @pytest.mark.promise("A14")
    async def test_timeout_raises_and_the_next_call_succeeds(
        self, *, make: Make, pool: FakePool, upload_id: UploadId, variant: Variant, metrics: Metrics, temporary: Path
    ) -> None:
        variant_service = make(timeout=0.5)
        pool.hold()

        with pytest.raises(DerivationTimeout):
            await variant_service.fetch(upload_id, variant)
        await variant_service.drain()

        assert pool.in_use == 0
        assert listing(temporary) == []
        assert (await make().fetch(upload_id, variant)).tier is Tier.DERIVED
        assert (await variant_service.fetch(upload_id, variant)).tier is Tier.STORED
        assert derived(metrics, "derivation_timeout") == 1
        assert tiers(metrics) == {"refused": 1, "derived": 1, "stored": 1}

    async def test_hanging_store_raises_derivation_timeout(
        self, make: Make, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        variant_service = make(timeout=0.05)
        gate = store.hold("get")

        with pytest.raises(DerivationTimeout):
            await variant_service.fetch(upload_id, variant)
        gate.open()

        assert (await make().fetch(upload_id, variant)).tier is Tier.DERIVED

    async def test_overload_raises_and_is_not_cached(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId, variant: Variant, metrics: Metrics
    ) -> None:
        pool.failure = Overloaded(retry_after=3)
        with pytest.raises(Overloaded) as caught:
            await variant_service.fetch(upload_id, variant)
        pool.failure = None

        assert caught.value.retry_after == 3
        assert (await variant_service.fetch(upload_id, variant)).tier is Tier.DERIVED
        assert derived(metrics, "overloaded") == 1

    async def test_full_queue_serves_stored_variants_and_rejects_others_before_taking_a_lease(
        self, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
    ) -> None:
        counting_leases = CountingLeases()
        variant_service = make(leases=counting_leases, memory_cache_bytes=0)
        await variant_service.fetch(upload_id, variant)
        await variant_service.drain()
        pool.full = True
        store.calls.clear()

        assert (await variant_service.fetch(upload_id, variant)).tier is Tier.STORED
        with pytest.raises(Overloaded):
            await variant_service.fetch(upload_id, replace(variant, density=3))

        assert [call for call, _ in store.calls] == ["get", "get"]
        assert counting_leases.held == [variant_key(upload_id, variant)]


@pytest.mark.promise("C3")
async def test_unknown_upload_takes_no_lease(make: Make, store: CountingStore, variant: Variant) -> None:
    """Nor anything else that a derivation waits for: anybody can invent ids."""
    leases = CountingLeases()
    unknown = new_upload_id()

    with pytest.raises(UnknownUpload):
        await make(leases=leases).fetch(unknown, variant)

    assert leases.held == []
    assert store.calls == [("get", variant_key(unknown, variant)), ("head", original_key(unknown))]


class CountingLeases(NoLeases):
    def __init__(self) -> None:
        self.held: list[str] = []

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        self.held.append(key)
        async with super().hold(key, wait=wait) as held:
            yield held
