"""VariantService.ensure: stores every variant, decoding once for each tier."""

from pathlib import Path

from proxy.imaging.target import Measured
from proxy.keys import original_key, variant_key
from proxy.model import Format, UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.telemetry import Metrics
from proxy.variants.results import Ensured, Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, listing, rendering_of, sample
from tests.unit.proxy.variants.ensured import ALL, SIZES, Make, ensured
from tests.unit.proxy.variants.stale import put_stale


async def test_every_variant_is_stored_with_the_current_recipe(
    variant_service: VariantService, store: CountingStore, recipes: Recipes, upload_id: UploadId
) -> None:
    result = await ensured(variant_service, upload_id)

    assert set(result) == set(ALL)
    for variant, one in result.items():
        stored = await store.inner.get(variant_key(upload_id, variant))
        assert stored.body == rendering_of(b"an original", recipes.target(variant))
        assert stored.info.metadata["recipe"] == recipes.fingerprint(variant)
        assert one == Ensured(variant, len(stored.body), 0.4375)


async def test_ensure_downloads_once_and_renders_once_at_background_priority(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId, temporary: Path
) -> None:
    await ensured(variant_service, upload_id)

    assert len(pool.requests) == 1
    assert len(pool.requests[0]) == len(ALL)
    assert store.count("download") == 1
    assert pool.priorities == [Priority.BACKGROUND]
    assert pool.estimates == [len(ALL) * 1000 + len(b"an original")]
    assert pool.in_use == 0
    assert listing(temporary) == []


async def test_derivations_are_counted(variant_service: VariantService, upload_id: UploadId, metrics: Metrics) -> None:
    await ensured(variant_service, upload_id)

    counts = [
        sample(metrics, "darkroom_derivations_total", size=variant.size_name, format=variant.format, outcome="ok")
        for variant in ALL
    ]
    assert counts == [1] * len(ALL)


async def test_fetch_after_ensure_does_not_derive(
    variant_service: VariantService, make: Make, pool: FakePool, upload_id: UploadId
) -> None:
    await ensured(variant_service, upload_id)

    hot = await variant_service.fetch(upload_id, ALL[0])
    stored = await make().fetch(upload_id, ALL[0])

    assert (hot.tier, stored.tier) == (Tier.MEMORY, Tier.STORED)
    assert hot.encoded.body == stored.encoded.body
    assert len(pool.requests) == 1


async def test_variants_with_the_current_recipe_are_skipped(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
) -> None:
    fetched = await variant_service.fetch(upload_id, ALL[2])
    await variant_service.drain()

    result = await ensured(variant_service, upload_id)
    assert set(result) == set(ALL)
    assert result[ALL[2]] == Ensured(ALL[2], len(fetched.encoded.body), None)
    assert [len(targets) for targets in pool.requests] == [1, len(ALL) - 1]

    store.calls.clear()
    again = await ensured(variant_service, upload_id)
    assert {one.seconds for one in again.values()} == {None}
    assert {method for method, _ in store.calls} == {"head"}
    assert len(pool.priorities) == 2


async def test_ensured_has_the_measured_quality_if_derived_or_stored(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
) -> None:
    pool.measured = Measured(83, 80.25)

    derived = await ensured(variant_service, upload_id, ALL[:2])
    stored = await ensured(variant_service, upload_id, ALL[:2])

    assert {one.measured for one in (*derived.values(), *stored.values())} == {pool.measured}
    assert {one.seconds for one in stored.values()} == {None}
    info = await store.inner.head(variant_key(upload_id, ALL[0]))
    assert (info.metadata["quality"], info.metadata["score"]) == ("83", "80.25")


async def test_ensure_replaces_stale_variants(
    variant_service: VariantService, store: CountingStore, recipes: Recipes, upload_id: UploadId
) -> None:
    await put_stale(store, upload_id, ALL[0])

    result = await ensured(variant_service, upload_id)

    stored = await store.inner.get(variant_key(upload_id, ALL[0]))
    assert stored.info.metadata["recipe"] == recipes.fingerprint(ALL[0])
    assert stored.body == rendering_of(b"an original", recipes.target(ALL[0]))
    assert result[ALL[0]].seconds is not None
    assert (await variant_service.fetch(upload_id, ALL[0])).encoded.body == stored.body


async def test_ensure_without_variants_ends_at_once(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId
) -> None:
    assert await ensured(variant_service, upload_id, []) == {}
    assert store.calls == []
    assert pool.priorities == []


async def test_ensure_of_stored_variants_does_not_read_the_original(
    variant_service: VariantService, make: Make, store: CountingStore, upload_id: UploadId
) -> None:
    await ensured(variant_service, upload_id)
    store.calls.clear()

    await ensured(make(), upload_id)

    assert store.count("download", original_key(upload_id)) == 0


async def test_formats_of_one_size_are_not_mixed_up(
    variant_service: VariantService, store: CountingStore, upload_id: UploadId
) -> None:
    variants = [Variant(SIZES["small"], format) for format in (Format.AVIF, Format.JPG)]

    await ensured(variant_service, upload_id, variants)

    infos = [await store.inner.head(variant_key(upload_id, variant)) for variant in variants]
    assert [info.content_type for info in infos] == ["image/avif", "image/jpeg"]
