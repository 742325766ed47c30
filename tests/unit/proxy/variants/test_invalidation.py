"""Deletion of uploads and variants, also during derivations."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.errors import StoreUnavailable, UnknownUpload
from proxy.keys import fields_key, original_key, trash_key, variant_key
from proxy.model import UploadId, Variant, new_upload_id
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool

Make = Callable[..., VariantService]


async def test_delete_upload_removes_everything_of_that_upload_only(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    other = new_upload_id()
    await store.inner.put(original_key(other), b"another original", content_type="image/jpeg")
    for owner in (upload_id, other):
        await variant_service.fetch(owner, variant)
        await variant_service.fetch(owner, Variant(variant.size, variant.format))
    await variant_service.drain()

    await variant_service.delete_upload(upload_id)

    assert len(await store.keys()) == 3
    assert all(other in key for key in await store.keys())
    assert (await variant_service.fetch(other, variant)).tier is Tier.MEMORY


async def test_fetch_after_deletion_does_not_reach_the_store(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()
    await variant_service.delete_upload(upload_id)
    store.calls.clear()

    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, variant)

    assert store.calls == []


async def test_delete_upload_removes_the_original_first(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()
    store.calls.clear()

    await variant_service.delete_upload(upload_id)

    assert store.calls == [
        ("delete", f"{original_key(upload_id)} {trash_key(upload_id)} {fields_key(upload_id)}"),
        ("list", f"images/{upload_id}/"),
        ("list", f"private/{upload_id}/"),
        ("delete", variant_key(upload_id, variant)),
    ]


async def test_delete_upload_is_idempotent(
    variant_service: VariantService, upload_id: UploadId, variant: Variant
) -> None:
    await variant_service.delete_upload(upload_id)
    await variant_service.delete_upload(upload_id)

    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, variant)


async def test_store_failure_raises_and_a_retry_completes_the_deletion(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()
    store.fail("list")

    with pytest.raises(StoreUnavailable):
        await variant_service.delete_upload(upload_id)
    await variant_service.delete_upload(upload_id)

    assert await store.keys() == []


async def test_deleted_variant_is_derived_again(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()

    await variant_service.delete_variants(upload_id, variant)

    assert await store.keys() == [original_key(upload_id)]
    assert (await variant_service.fetch(upload_id, variant)).tier is Tier.DERIVED
    assert pool.renderings == 2


@pytest.mark.parametrize("missing_ttl", [60, 0])
class TestMeanwhile:
    """Deletion during other work; also without caching of missing uploads (`MISSING_TTL=0`)."""

    async def test_derivation_during_a_deletion_is_neither_served_nor_stored(
        self,
        *,
        make: Make,
        store: CountingStore,
        pool: FakePool,
        upload_id: UploadId,
        variant: Variant,
        missing_ttl: int,
    ) -> None:
        variant_service = make(missing_ttl=missing_ttl)
        gate = pool.hold()
        caller = asyncio.create_task(variant_service.fetch(upload_id, variant))
        await gate.reached.wait()

        await variant_service.delete_upload(upload_id)
        gate.open()

        with pytest.raises(UnknownUpload):  # caches would keep a response for a year
            await caller
        await variant_service.drain()
        assert await store.keys() == []
        with pytest.raises(UnknownUpload):
            await variant_service.fetch(upload_id, variant)

    async def test_store_read_during_a_deletion_is_neither_served_nor_cached(
        self, make: Make, store: CountingStore, upload_id: UploadId, variant: Variant, missing_ttl: int
    ) -> None:
        first, second = make(), make(missing_ttl=missing_ttl)
        await first.fetch(upload_id, variant)
        await first.drain()
        gate = store.hold("get", done=True)
        caller = asyncio.create_task(second.fetch(upload_id, variant))
        await gate.reached.wait()

        await second.delete_upload(upload_id)
        gate.open()

        for request in (caller, second.fetch(upload_id, variant)):
            with pytest.raises(UnknownUpload):
                await request

    async def test_running_write_back_leaves_nothing(
        self, make: Make, store: CountingStore, upload_id: UploadId, variant: Variant, missing_ttl: int
    ) -> None:
        variant_service = make(missing_ttl=missing_ttl)
        gate = store.hold("put")
        await variant_service.fetch(upload_id, variant)
        await gate.reached.wait()

        await variant_service.delete_upload(upload_id)
        gate.open()
        await variant_service.drain()

        assert await store.keys() == []
        with pytest.raises(UnknownUpload):
            await variant_service.fetch(upload_id, variant)


async def test_failed_deletion_keeps_serving(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    """A 404 would be cached for a minute."""
    store.fail("delete")
    with pytest.raises(StoreUnavailable):
        await variant_service.delete_upload(upload_id)

    assert (await variant_service.fetch(upload_id, variant)).tier is Tier.DERIVED
    assert (await variant_service.fetch(upload_id, variant)).tier is Tier.MEMORY


async def test_delete_upload_with_old_versions_deletes_them_too(
    make: Make, store: CountingStore, upload_id: UploadId
) -> None:
    await make(delete_versions=True).delete_upload(upload_id)

    keys = original_key(upload_id), trash_key(upload_id), fields_key(upload_id)
    assert store.calls[-1] == ("delete_versions", " ".join([*keys, f"images/{upload_id}/", f"private/{upload_id}/"]))
