"""Permanent failures are cached, bounded in time and number."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import ServiceError, TooHeavy, TooManyPixels, Undecodable, UnknownUpload
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant, new_upload_id
from proxy.telemetry import Metrics
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, sample

Make = Callable[..., VariantService]


async def refused(variant_service: VariantService, upload_id: UploadId, variant: Variant) -> type[ServiceError]:
    with pytest.raises(ServiceError) as caught:
        await variant_service.fetch(upload_id, variant)
    return type(caught.value)


@pytest.mark.promise("C3")
async def test_unknown_id_requested_1000_times_reaches_the_store_once(
    variant_service: VariantService, store: CountingStore, variant: Variant, metrics: Metrics
) -> None:
    unknown = new_upload_id()

    at_once = await asyncio.gather(*(refused(variant_service, unknown, variant) for _ in range(500)))
    in_turn = [await refused(variant_service, unknown, variant) for _ in range(500)]

    assert {*at_once, *in_turn} == {UnknownUpload}
    assert store.calls == [
        ("get", variant_key(unknown, variant)),
        ("head", original_key(unknown)),
    ]
    assert sample(metrics, "darkroom_variant_requests_total", tier="refused") == 1000


@pytest.mark.promise("C3")
async def test_unknown_ids_cost_two_store_calls_each_and_no_place(
    variant_service: VariantService, store: CountingStore, pool: FakePool, variant: Variant, temporary: Path
) -> None:
    answers = await asyncio.gather(*(refused(variant_service, new_upload_id(), variant) for _ in range(100)))

    assert {*answers} == {UnknownUpload}
    assert (store.count("get"), store.count("head"), len(store.calls)) == (100, 100, 200)
    assert (pool.places, pool.renderings) == (0, 0)
    assert not temporary.exists()


async def test_unknown_id_is_cached_for_every_size_after_the_second(
    variant_service: VariantService, store: CountingStore, variant: Variant
) -> None:
    unknown = new_upload_id()
    second, third = (Variant(variant.size, variant.format, density) for density in (1, 3))
    await refused(variant_service, unknown, variant)
    store.calls.clear()

    assert await refused(variant_service, unknown, second) is UnknownUpload
    assert store.calls == [
        ("get", variant_key(unknown, second)),
        ("head", original_key(unknown)),
        ("list", f"images/{unknown}/"),  # finds stored variants, which must still be served
    ]
    store.calls.clear()
    assert await refused(variant_service, unknown, third) is UnknownUpload
    assert store.calls == []


@pytest.mark.promise("C9")
async def test_stored_variant_is_served_after_its_original_was_found_missing(
    make: Make, store: CountingStore, upload_id: UploadId, variant: Variant
) -> None:
    """If a bucket loses originals, their stored variants are still served."""
    first, second = make(), make()
    await first.fetch(upload_id, variant)
    await first.drain()
    await store.inner.delete(original_key(upload_id))

    for density in (1, 3):
        assert await refused(second, upload_id, Variant(variant.size, variant.format, density)) is UnknownUpload
    assert (await second.fetch(upload_id, variant)).tier is Tier.STORED


async def test_other_ids_are_not_affected(
    variant_service: VariantService, upload_id: UploadId, variant: Variant
) -> None:
    await refused(variant_service, new_upload_id(), variant)

    assert (await variant_service.fetch(upload_id, variant)).tier is Tier.DERIVED


async def test_unknown_id_takes_no_render_process(
    variant_service: VariantService, pool: FakePool, variant: Variant
) -> None:
    await refused(variant_service, new_upload_id(), variant)

    assert pool.renderings == 0
    assert pool.in_use == 0


async def test_cached_error_expires(make: Make, store: CountingStore, variant: Variant) -> None:
    unknown = new_upload_id()
    forgetful = make(missing_ttl=0)

    await refused(forgetful, unknown, variant)
    await refused(forgetful, unknown, variant)

    assert store.count("head") == 2


@pytest.mark.promise("C6")
async def test_upload_is_found_after_the_cached_error_expired(
    make: Make, store: CountingStore, variant: Variant
) -> None:
    late = new_upload_id()
    forgetful = make(missing_ttl=0)
    await refused(forgetful, late, variant)

    await store.inner.put(original_key(late), b"an original", content_type="image/jpeg")

    assert (await forgetful.fetch(late, variant)).tier is Tier.DERIVED


@pytest.mark.promise("C3")
@pytest.mark.heavy
async def test_negative_cache_holds_at_most_10000_entries(
    variant_service: VariantService, store: CountingStore, variant: Variant
) -> None:
    first = new_upload_id()
    await variant_service.delete_upload(first)
    for _ in range(10_000):
        await variant_service.delete_upload(new_upload_id())
    store.calls.clear()

    assert await refused(variant_service, first, variant) is UnknownUpload
    assert store.count("get") == 1


@pytest.mark.heavy
async def test_cached_error_keeps_no_frames_alive(variant_service: VariantService, variant: Variant) -> None:
    """A traceback keeps frames alive, and with them requests and their bodies."""

    class Request:
        pass

    async def handle() -> weakref.ref[Request]:
        request = Request()
        try:
            await variant_service.fetch(unknown, variant)
        except UnknownUpload:
            pass
        else:
            pytest.fail("it is known")
        return weakref.ref(request)

    unknown = new_upload_id()
    requests = [await handle(), await handle()]
    await asyncio.sleep(0)  # the loop holds a reference to the running callback
    gc.collect()

    assert [request() for request in requests] == [None, None]


@pytest.mark.parametrize("failure", [Undecodable("Broken."), TooManyPixels("Too large.")], ids=["corrupt", "too large"])
async def test_undecodable_original_is_rendered_once(
    *,
    variant_service: VariantService,
    store: CountingStore,
    pool: FakePool,
    upload_id: UploadId,
    variant: Variant,
    metrics: Metrics,
    failure: ServiceError,
) -> None:
    pool.failure = failure

    for _ in range(3):
        with pytest.raises(type(failure), match=str(failure)):
            await variant_service.fetch(upload_id, variant)

    assert len(pool.requests) == 1
    assert store.count("get") == 1
    assert sample(metrics, "darkroom_derivations_total", size="medium@2x", format="webp", outcome=failure.code) == 1
    assert variant_key(upload_id, variant) not in await store.keys()


async def test_too_heavy_size_does_not_affect_other_sizes(
    variant_service: VariantService, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    pool.most = 0
    assert await refused(variant_service, upload_id, variant) is TooHeavy
    pool.most = None  # as if the variant were lighter

    assert (await variant_service.fetch(upload_id, Variant(variant.size, variant.format))).tier is Tier.DERIVED
    assert pool.in_use == 0


async def test_too_heavy_variant_is_tried_once(
    *,
    variant_service: VariantService,
    store: CountingStore,
    pool: FakePool,
    upload_id: UploadId,
    variant: Variant,
    metrics: Metrics,
) -> None:
    pool.most = 0

    for _ in range(3):
        assert await refused(variant_service, upload_id, variant) is TooHeavy

    assert store.count("download") == 1
    assert sample(metrics, "darkroom_derivations_total", size="medium@2x", format="webp", outcome="too_heavy") == 1


async def test_variants_too_heavy_together_are_derived_alone(
    variant_service: VariantService, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    pool.most = 1500
    with pytest.raises(TooHeavy):
        async for _ in variant_service.ensure(upload_id, [variant, Variant(variant.size, variant.format)]):
            pass

    assert (await variant_service.fetch(upload_id, variant)).tier is Tier.DERIVED
