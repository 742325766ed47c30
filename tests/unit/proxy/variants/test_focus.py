"""Variants around the focus of an upload, which changes during derivations."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.errors import UploadChanged
from proxy.keys import original_key, variant_key
from proxy.model import Focus, Position, UploadId, Variant
from proxy.variants.invalidation.invalidation_bus import Invalidation, NoInvalidation, OnInvalidation
from proxy.variants.results import Fetched, Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, Gate
from tests.unit.proxy.variants.conftest import ORIGINAL
from tests.unit.proxy.variants.ensured import ensured

Make = Callable[..., VariantService]


class Bus(NoInvalidation):
    """Calls its subscribers at once."""

    def __init__(self) -> None:
        self._subscribers: list[OnInvalidation] = []

    async def publish(self, invalidation: Invalidation) -> None:
        for on_invalidation in self._subscribers:
            on_invalidation(invalidation)

    async def subscribe(self, on_invalidation: OnInvalidation) -> None:
        self._subscribers.append(on_invalidation)


@pytest.fixture
def focused(variant: Variant) -> Variant:
    return Variant(replace(variant.size, position=Position.FOCUS), variant.format)


async def set_focus(store: CountingStore, upload_id: UploadId, focus: str) -> None:
    metadata = {"focus": focus}
    await store.inner.put(original_key(upload_id), ORIGINAL, content_type="image/jpeg", metadata=metadata)


async def test_focus_of_the_original_is_rendered_and_stored_with_variants_that_use_the_focus(
    *, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant, focused: Variant
) -> None:
    await set_focus(store, upload_id, "0.1,0.9")
    variant_service = make()

    for each in (focused, variant):
        await variant_service.fetch(upload_id, each)
        await variant_service.drain()

    assert [target.focus for [target] in pool.requests] == ["0.1,0.9", None]
    found = [(await store.inner.get(variant_key(upload_id, each))).info.metadata for each in (focused, variant)]
    assert [metadata.get("focus") for metadata in found] == ["0.1,0.9", None]


async def test_variant_that_another_process_has_stored_keeps_its_focus(
    make: Make, store: CountingStore, upload_id: UploadId, focused: Variant
) -> None:
    await set_focus(store, upload_id, "0.1,0.9")
    one, other = make(), make()
    await one.fetch(upload_id, focused)
    await one.drain()

    assert (await other.fetch(upload_id, focused)).encoded.focus == Focus("0.1,0.9")


async def test_change_during_a_derivation_leaves_no_old_variant_in_store_and_memory(
    make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, focused: Variant
) -> None:
    await set_focus(store, upload_id, "0.1,0.9")
    variant_service, elsewhere = make(), make()
    gate = store.hold("put")
    await variant_service.fetch(upload_id, focused)
    await gate.reached.wait()

    await set_focus(store, upload_id, "0.9,0.1")
    await elsewhere.withdraw_variants(upload_id)
    gate.open()
    await variant_service.drain()

    assert await store.keys() == [original_key(upload_id)]
    again = await variant_service.fetch(upload_id, focused)
    assert again.tier is Tier.DERIVED
    assert [target.focus for [target] in pool.requests] == ["0.1,0.9", "0.9,0.1"]


async def test_focus_change_during_a_warm_up_makes_the_warm_up_try_again(
    make: Make, store: CountingStore, upload_id: UploadId, variant: Variant, focused: Variant
) -> None:
    variant_service = make()
    gate = store.hold("put")
    run = asyncio.create_task(ensured(variant_service, upload_id, [focused]))
    await gate.reached.wait()
    await set_focus(store, upload_id, "0.9,0.1")
    gate.open()

    with pytest.raises(UploadChanged) as raised:
        await run

    assert raised.value.retryable
    assert await store.keys() == [original_key(upload_id)]
    assert set(await ensured(variant_service, upload_id, [focused, variant])) == {focused, variant}


async def test_withdrawn_variants_are_forgotten_by_every_process_and_derived_again(
    make: Make, store: CountingStore, upload_id: UploadId, focused: Variant
) -> None:
    bus = Bus()
    one, other = make(invalidation=bus), make(invalidation=bus)
    for variant_service in (one, other):
        await variant_service.follow_invalidations()
        await variant_service.fetch(upload_id, focused)
        await variant_service.drain()

    await one.withdraw_variants(upload_id)

    assert await store.keys() == [original_key(upload_id)]
    assert (await other.fetch(upload_id, focused)).tier is Tier.DERIVED
    await other.drain()
    assert (await one.fetch(upload_id, focused)).tier is Tier.STORED


class TestAfterAChange:
    """No request that arrives after a change gets a variant that was derived before it."""

    async def change(self, store: CountingStore, upload_id: UploadId, by: VariantService) -> None:
        await set_focus(store, upload_id, "0.9,0.1")
        await by.withdraw_variants(upload_id)

    async def change_during_a_derivation(
        self, by: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
    ) -> tuple[asyncio.Task[Fetched], Gate]:
        """Returns the request for it, and the gate before it is rendered."""
        await set_focus(store, upload_id, "0.1,0.9")
        gate = pool.hold(1)
        early = asyncio.create_task(by.fetch(upload_id, variant))
        await gate.reached.wait()
        await self.change(store, upload_id, by)
        return early, gate

    async def test_later_request_does_not_join_a_running_derivation(
        self, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, focused: Variant
    ) -> None:
        variant_service = make()
        early, gate = await self.change_during_a_derivation(variant_service, store, pool, upload_id, focused)

        late = asyncio.create_task(variant_service.fetch(upload_id, focused))
        await asyncio.sleep(0)
        gate.open()

        assert [(await fetching).encoded.focus for fetching in (early, late)] == ["0.9,0.1", "0.9,0.1"]
        await variant_service.drain()
        assert (await variant_service.fetch(upload_id, focused)).encoded.focus == "0.9,0.1"

    async def test_derivation_that_began_before_is_not_kept_in_memory(
        self, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, focused: Variant
    ) -> None:
        variant_service = make()
        early, gate = await self.change_during_a_derivation(variant_service, store, pool, upload_id, focused)
        write = store.hold("put")  # so that its write-back does not find out
        gate.open()

        found = [(await early).encoded.focus, (await variant_service.fetch(upload_id, focused)).encoded.focus]
        write.open()
        assert found == ["0.9,0.1", "0.9,0.1"]

    async def test_read_of_the_old_variant_is_not_kept_in_memory(
        self, make: Make, store: CountingStore, upload_id: UploadId, focused: Variant
    ) -> None:
        bus = Bus()
        await set_focus(store, upload_id, "0.1,0.9")
        one, other = make(invalidation=bus), make(invalidation=bus)
        await other.follow_invalidations()
        await one.fetch(upload_id, focused)
        await one.drain()
        gate = store.hold("get", done=True)
        early = asyncio.create_task(other.fetch(upload_id, focused))
        await gate.reached.wait()
        await self.change(store, upload_id, one)
        gate.open()

        assert (await early).encoded.focus == "0.9,0.1"  # it is found out at once
        assert (await other.fetch(upload_id, focused)).encoded.focus == "0.9,0.1"

    async def test_old_variant_that_stays_in_the_store_is_not_served(
        self, make: Make, store: CountingStore, upload_id: UploadId, focused: Variant
    ) -> None:
        """What an old derivation stores, and then cannot delete."""
        await set_focus(store, upload_id, "0.1,0.9")
        variant_service = make(memory_cache_bytes=0)
        await variant_service.fetch(upload_id, focused)
        await variant_service.drain()
        old = await store.inner.get(variant_key(upload_id, focused))
        await self.change(store, upload_id, variant_service)
        await store.inner.put(
            variant_key(upload_id, focused), old.body, content_type="image/webp", metadata=old.info.metadata
        )

        assert (await variant_service.fetch(upload_id, focused)).encoded.focus == "0.9,0.1"
        await variant_service.drain()
        stored = await store.inner.head(variant_key(upload_id, focused))
        assert stored.metadata["focus"] == "0.9,0.1"

    async def test_second_change_during_a_request_fails_it_for_a_moment(
        self, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, focused: Variant
    ) -> None:
        variant_service = make()
        again = pool.hold(2)
        early, gate = await self.change_during_a_derivation(variant_service, store, pool, upload_id, focused)
        gate.open()
        await again.reached.wait()
        await set_focus(store, upload_id, "0.5,0.5")
        again.open()

        with pytest.raises(UploadChanged) as raised:
            await early

        assert (raised.value.retryable, raised.value.retry_after) == (True, 1)


async def test_warm_up_replaces_a_variant_of_an_old_focus(
    make: Make, store: CountingStore, upload_id: UploadId, focused: Variant, variant: Variant
) -> None:
    """One that a process stored before it was killed: no process checked whether it was outdated."""
    await set_focus(store, upload_id, "0.1,0.9")
    variant_service = make()
    await ensured(variant_service, upload_id, [focused, variant])
    await set_focus(store, upload_id, "0.9,0.1")

    done = await ensured(variant_service, upload_id, [focused, variant])

    assert (await store.inner.head(variant_key(upload_id, focused))).metadata["focus"] == "0.9,0.1"
    assert {each: one.seconds is None for each, one in done.items()} == {focused: False, variant: True}
