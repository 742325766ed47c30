"""Variants of another recipe: served at once, and replaced in the background."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.errors import RenderFailed
from proxy.keys import variant_key
from proxy.model import Fit, Format, Size, UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.lease_store import NoLeases
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool, sample
from tests.unit.proxy.variants.fetched import LateLeases, Make
from tests.unit.proxy.variants.stale import put_stale


async def stored_recipe(store: CountingStore, upload_id: UploadId, variant: Variant) -> str:
    return (await store.inner.head(variant_key(upload_id, variant))).metadata["recipe"]


async def test_stale_variant_is_served_and_refreshed_in_the_background(
    *,
    variant_service: VariantService,
    store: CountingStore,
    pool: FakePool,
    recipes: Recipes,
    upload_id: UploadId,
    variant: Variant,
) -> None:
    await put_stale(store, upload_id, variant)
    gate = pool.hold()

    answer = await variant_service.fetch(upload_id, variant)
    await gate.reached.wait()

    assert answer.tier is Tier.STORED
    assert answer.encoded.body == b"of yesterday"
    assert answer.encoded.recipe == "yesterday"
    assert pool.priorities == [Priority.BACKGROUND]
    gate.open()
    await variant_service.drain()
    fresh = await variant_service.fetch(upload_id, variant)
    assert fresh.tier is Tier.MEMORY
    assert fresh.encoded.recipe == recipes.fingerprint(variant)
    stored = await store.inner.get(variant_key(upload_id, variant))
    assert stored.body == fresh.encoded.body != b"of yesterday"
    assert stored.info.metadata == fresh.encoded.metadata


async def test_concurrent_fetches_refresh_a_stale_variant_once(
    make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    variant_service = make(memory_cache_bytes=0)  # so that every caller reads the stored variant
    await put_stale(store, upload_id, variant)
    gate = pool.hold()

    answers = [await variant_service.fetch(upload_id, variant) for _ in range(20)]
    gate.open()
    await variant_service.drain()
    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()

    assert {answer.encoded.body for answer in answers} == {b"of yesterday"}
    assert pool.renderings == 1
    assert store.count("put") == 1


async def test_variant_that_another_process_refreshed_meanwhile_is_not_refreshed_again(
    *, make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant, tmp_path: Path
) -> None:
    await put_stale(store, upload_id, variant)
    first = make(leases=FileLeaseStore(tmp_path))

    async def refresh_elsewhere() -> None:
        await first.fetch(upload_id, variant)
        await first.drain()

    late = make(leases=LateLeases(tmp_path, refresh_elsewhere))
    await late.fetch(upload_id, variant)
    await late.drain()

    assert pool.renderings == 1
    assert store.count("put") == 1


async def test_variant_with_current_recipe_is_not_refreshed(
    make: Make, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    first, second = make(), make()
    await first.fetch(upload_id, variant)
    await first.drain()

    assert (await second.fetch(upload_id, variant)).tier is Tier.STORED
    await second.drain()

    assert pool.renderings == 1


async def test_failed_refresh_keeps_the_stale_variant(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    await put_stale(store, upload_id, variant)
    pool.failure = RenderFailed()

    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()

    assert (await variant_service.fetch(upload_id, variant)).encoded.body == b"of yesterday"
    assert await stored_recipe(store, upload_id, variant) == "yesterday"


async def test_failed_refresh_is_retried_on_a_later_fetch(
    *, make: Make, store: CountingStore, pool: FakePool, recipes: Recipes, upload_id: UploadId, variant: Variant
) -> None:
    variant_service = make(memory_cache_bytes=0)
    await put_stale(store, upload_id, variant)
    store.fail("put")
    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()

    await variant_service.fetch(upload_id, variant)
    await variant_service.drain()

    assert await stored_recipe(store, upload_id, variant) == recipes.fingerprint(variant)


async def test_refresh_without_a_process_times_out(
    make: Make, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    """Live requests go first, and a stopping server waits for the refresh."""
    variant_service = make(timeout=0.05)
    await put_stale(store, upload_id, variant)
    pool.hold_entrance(Priority.BACKGROUND)

    await variant_service.fetch(upload_id, variant)
    async with asyncio.timeout(5):
        await variant_service.drain()

    assert pool.renderings == 0
    assert await stored_recipe(store, upload_id, variant) == "yesterday"


async def test_refresh_of_a_deleted_upload_leaves_nothing(
    variant_service: VariantService, store: CountingStore, pool: FakePool, upload_id: UploadId, variant: Variant
) -> None:
    await put_stale(store, upload_id, variant)
    gate = pool.hold()
    await variant_service.fetch(upload_id, variant)
    await gate.reached.wait()

    await variant_service.delete_upload(upload_id)
    gate.open()
    await variant_service.drain()

    assert await store.keys() == []


async def test_many_stale_variants_are_all_refreshed_eventually(
    variant_service: VariantService, store: CountingStore, recipes: Recipes, upload_id: UploadId
) -> None:
    """At most four refreshes run at once; the others are refreshed on a later fetch."""
    variants = [Variant(Size(f"s{side}", side, None, Fit.INSIDE), Format.JPG) for side in range(100, 108)]
    for variant in variants:
        await put_stale(store, upload_id, variant)

    for _ in range(3):
        await asyncio.gather(*(variant_service.fetch(upload_id, variant) for variant in variants))
        await variant_service.drain()

    stored = {variant.name: await stored_recipe(store, upload_id, variant) for variant in variants}
    assert stored == {variant.name: recipes.fingerprint(variant) for variant in variants}


async def test_refresh_outcomes_are_counted(
    *,
    make: Make,
    metrics: Metrics,
    store: CountingStore,
    pool: FakePool,
    upload_id: UploadId,
    variant: Variant,
) -> None:
    def counted() -> dict[str, float]:
        labels = {"size": variant.size_name, "format": variant.format}
        outcomes = ("refreshed", "failed", "elsewhere", "deferred")
        counts = {each: sample(metrics, "darkroom_stale_variants_total", outcome=each, **labels) for each in outcomes}
        return {outcome: count for outcome, count in counts.items() if count}

    await put_stale(store, upload_id, variant)
    pool.failure = RenderFailed()
    failing = make(memory_cache_bytes=0)
    await failing.fetch(upload_id, variant)
    await failing.drain()
    assert counted() == {"failed": 1}

    pool.failure = None
    elsewhere = make(leases=TakenLeases())
    await elsewhere.fetch(upload_id, variant)
    await elsewhere.drain()
    assert counted() == {"failed": 1, "elsewhere": 1}

    fetching = make()
    await fetching.fetch(upload_id, variant)
    await fetching.drain()
    await fetching.fetch(upload_id, variant)  # no longer stale
    assert counted() == {"failed": 1, "elsewhere": 1, "refreshed": 1}


async def test_refreshes_beyond_four_are_counted_as_deferred(
    variant_service: VariantService, metrics: Metrics, store: CountingStore, pool: FakePool, upload_id: UploadId
) -> None:
    gate = pool.hold_entrance(Priority.BACKGROUND)
    for side in range(10, 16):
        variant = Variant(Size(f"s{side}", side, side, Fit.COVER), Format.JPG)
        await put_stale(store, upload_id, variant)
        await variant_service.fetch(upload_id, variant)

    deferred = [
        sample(metrics, "darkroom_stale_variants_total", size=f"s{side}", format="jpg", outcome="deferred")
        for side in range(10, 16)
    ]
    assert deferred == [0, 0, 0, 0, 1, 1]
    gate.open()
    await variant_service.drain()


class TakenLeases(NoLeases):
    """Leases that another process holds."""

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        yield wait


async def test_unexpected_error_of_a_refresh_is_logged_and_counted(
    *,
    variant_service: VariantService,
    store: CountingStore,
    upload_id: UploadId,
    variant: Variant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def put(*_: object, **__: object) -> None:
        raise ValueError

    await put_stale(store, upload_id, variant)
    monkeypatch.setattr(store, "put", put)

    with capture_logs() as logs:
        await variant_service.fetch(upload_id, variant)
        await variant_service.drain()

    assert [(entry["event"], entry["variant"]) for entry in logs] == [
        ("unhandled error in a variant refresh", variant.name)
    ]
