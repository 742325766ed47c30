"""Variants of an upload whose visibility changes: none is left, served or derived where it was."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.errors import UnknownUpload
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant, Visibility
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool
from tests.unit.proxy.variants.conftest import ORIGINAL
from tests.unit.proxy.variants.ensured import ensured

Make = Callable[..., VariantService]


@pytest.fixture
def private(variant: Variant) -> Variant:
    return replace(variant, visibility=Visibility.PRIVATE)


async def hide(store: CountingStore, upload_id: UploadId) -> None:
    metadata = {"visibility": "private"}
    await store.inner.put(original_key(upload_id), ORIGINAL, content_type="image/jpeg", metadata=metadata)


async def test_upload_has_variants_only_at_the_path_of_its_visibility(
    *, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant, private: Variant
) -> None:
    await hide(store, upload_id)
    variant_service = make()

    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, variant)
    with pytest.raises(UnknownUpload):
        await ensured(variant_service, upload_id, [variant])
    await variant_service.fetch(upload_id, private)
    await variant_service.drain()

    assert await store.keys() == [original_key(upload_id), variant_key(upload_id, private)]
    assert pool.renderings == 1


async def test_change_before_the_download_derives_nothing(
    make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    gate = store.hold("download")
    fetching = asyncio.create_task(make().fetch(upload_id, variant))
    await gate.reached.wait()
    await hide(store, upload_id)
    gate.open()

    with pytest.raises(UnknownUpload):
        await fetching
    assert pool.renderings == 0


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_visibility_change_during_a_derivation_leaves_no_variant_at_the_old_key(
    *, make: Make, store: CountingStore, upload_id: UploadId, variant: Variant, private: Variant, elsewhere: bool
) -> None:
    """Also if another process makes the change and tells no other process."""
    variant_service = make()
    gate = store.hold("put")
    await variant_service.fetch(upload_id, variant)
    await gate.reached.wait()

    await hide(store, upload_id)
    await (make() if elsewhere else variant_service).withdraw_variants(upload_id)
    gate.open()
    await variant_service.drain()

    assert await store.keys() == [original_key(upload_id)]
    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, variant)
    assert (await variant_service.fetch(upload_id, private)).tier is Tier.DERIVED


async def test_derivation_that_began_before_the_change_is_neither_served_nor_stored(
    make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    """nginx and CloudFront would keep the response for a year, from Darkroom or from the bucket."""
    variant_service = make()
    gate = pool.hold(1)
    early = asyncio.create_task(variant_service.fetch(upload_id, variant))
    await gate.reached.wait()
    await hide(store, upload_id)
    await variant_service.withdraw_variants(upload_id)
    gate.open()

    with pytest.raises(UnknownUpload):
        await early
    await variant_service.drain()
    assert store.count("put") == 0


async def test_warm_up_stores_nothing_that_a_change_outdated(
    make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    """An edge that asks the bucket first would keep it for a year."""
    variant_service = make()
    gate = pool.hold(1)
    run = asyncio.create_task(ensured(variant_service, upload_id, [variant]))
    await gate.reached.wait()
    await hide(store, upload_id)
    await variant_service.withdraw_variants(upload_id)
    gate.open()

    with pytest.raises(UnknownUpload):
        await run
    assert store.count("put") == 0


async def test_visibility_change_during_a_warm_up_leaves_no_variant_at_the_old_key(
    make: Make, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    gate = store.hold("put")
    run = asyncio.create_task(ensured(make(), upload_id, [variant]))
    await gate.reached.wait()
    await hide(store, upload_id)
    gate.open()

    with pytest.raises(UnknownUpload):
        await run
    assert await store.keys() == [original_key(upload_id)]


async def test_variant_that_a_slow_process_stores_after_the_change_is_not_served(
    make: Make, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    variant_service = make()
    await make().fetch(upload_id, variant)
    await hide(store, upload_id)
    await variant_service.withdraw_variants(upload_id)
    await store.inner.put(variant_key(upload_id, variant), b"seen by all", content_type="image/webp")

    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, variant)
    assert await store.keys() == [original_key(upload_id)]


async def test_refusals_from_before_the_change_are_forgotten(
    make: Make, store: CountingStore, upload_id: UploadId, private: Variant
) -> None:
    variant_service = make()
    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, private)
    gate = store.hold("head", done=True)
    late = asyncio.create_task(variant_service.fetch(upload_id, replace(private, density=3)))

    await hide(store, upload_id)
    await variant_service.withdraw_variants(upload_id)
    gate.open()
    await asyncio.gather(late, return_exceptions=True)

    assert (await variant_service.fetch(upload_id, private)).encoded.body
    assert (await variant_service.fetch(upload_id, replace(private, density=3))).encoded.body
