"""Stale variants are found, estimated and derived again; others are kept."""

from dataclasses import replace

import pytest

from ingest.catalog.repository import JobRepository
from ingest.jobs.queue.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.maintenance.refresh import Findings, Refresher, RefreshReport
from ingest.records import VariantState, WarmedVariant
from ingest.uploads.upload_service import UploadService
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.storage.object_store import ObjectStore
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, accepted, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND, *_ = SIZES.variants
LARGE = Variant(FIRST.size, FIRST.format, 2)


@pytest.fixture
def refresher(store: CountingStore, repository: JobRepository, variant_service: VariantService) -> Refresher:
    return Refresher(store, Recipes(Settings()), SIZES, repository, variant_service)


async def warmed(uploads: UploadService, warmup: WarmUp) -> UploadId:
    upload = await uploads.receive(chunks_of(picture()))
    await deliver(warmup.run, upload.upload_id)
    return upload.upload_id


async def make_stale(store: ObjectStore, upload_id: UploadId, *variants: Variant) -> int:
    """Returns their bytes."""
    for variant in variants:
        metadata = {"recipe": f"of-{variant.format}", "cache-tag": "old"}
        key = variant_key(upload_id, variant)
        await store.put(key, b"of yesterday", content_type="image/jpeg", metadata=metadata)
    return len(variants) * len(b"of yesterday")


@pytest.mark.heavy
async def test_current_variants_are_not_stale(
    uploads: UploadService, warmup: WarmUp, refresher: Refresher, store: CountingStore
) -> None:
    await warmed(uploads, warmup)
    store.calls.clear()

    assert await refresher.examine() == Findings(seconds=0.0)
    assert await refresher.refresh(concurrency=2, progress=lambda _: None) == RefreshReport()
    assert not [call for call in store.calls if call[0] in ("put", "delete")]


@pytest.mark.heavy
async def test_stale_variants_are_counted(
    uploads: UploadService, warmup: WarmUp, refresher: Refresher, store: CountingStore
) -> None:
    ids = [await warmed(uploads, warmup) for _ in range(3)]
    size = await make_stale(store.inner, ids[0], FIRST, SECOND) + await make_stale(store.inner, ids[2], FIRST, LARGE)

    seen: list[tuple[int, int]] = []

    findings = await refresher.examine(lambda so_far: seen.append((so_far.uploads, so_far.variants)))

    assert seen == [(1, 2), (2, 4)]
    assert (findings.uploads, findings.variants, findings.size) == (2, 4, size)
    assert findings.recipes == {f"of-{FIRST.format}", f"of-{SECOND.format}"}


async def test_cost_is_the_mean_of_measured_times(
    repository: JobRepository, refresher: Refresher, store: CountingStore
) -> None:
    uploads = [accepted(), accepted()]
    for upload, factor in zip(uploads, (1, 3), strict=True):
        times = {FIRST.name: 100.0 * factor, SECOND.name: 1000.0 * factor}
        variants = {name: WarmedVariant("/", VariantState.STORED, 1, time) for name, time in times.items()}
        await repository.begin(upload.upload_id)
        await repository.accept(replace(upload, variants=variants))
    await make_stale(store.inner, uploads[0].upload_id, FIRST, SECOND, LARGE)
    await make_stale(store.inner, uploads[1].upload_id, FIRST)

    # 0.2 s twice, 2 s, and the mean of both for a variant that was never measured.
    assert (await refresher.examine()).seconds == 3.5


async def test_cost_is_unknown_without_measurements(
    uploads: UploadService, refresher: Refresher, store: CountingStore
) -> None:
    upload_id = (await uploads.receive(chunks_of(picture()))).upload_id
    await make_stale(store.inner, upload_id, FIRST)

    assert (await refresher.examine()).seconds is None


@pytest.mark.heavy
async def test_only_stale_variants_are_derived_again(
    uploads: UploadService, warmup: WarmUp, refresher: Refresher, store: CountingStore
) -> None:
    ids = [await warmed(uploads, warmup) for _ in range(3)]
    fresh = (await store.inner.get(variant_key(ids[1], FIRST))).body
    await make_stale(store.inner, ids[1], FIRST, LARGE)
    store.calls.clear()
    seen: list[int] = []

    report = await refresher.refresh(concurrency=2, progress=lambda so_far: seen.append(so_far.uploads))

    assert report == RefreshReport(uploads=1)
    assert seen == [1]
    assert (await store.inner.get(variant_key(ids[1], FIRST))).body == fresh
    assert sorted(call for call in store.calls if call[0] == "put") == sorted(
        ("put", variant_key(ids[1], variant)) for variant in (FIRST, LARGE)
    )
    assert (await refresher.examine()).variants == 0


@pytest.mark.heavy
async def test_failed_refresh_is_named_and_still_served(
    uploads: UploadService, warmup: WarmUp, refresher: Refresher, store: CountingStore
) -> None:
    broken, whole = [await warmed(uploads, warmup) for _ in range(2)]
    for upload_id in (broken, whole):
        await make_stale(store.inner, upload_id, FIRST)
    await store.inner.put(original_key(broken), b"no picture", content_type="image/jpeg")

    report = await refresher.refresh(concurrency=1, progress=lambda _: None)

    assert report == RefreshReport(uploads=2, failed=[broken])
    assert (await store.inner.get(variant_key(broken, FIRST))).body == b"of yesterday"


async def test_variants_of_unconfigured_sizes_are_ignored(refresher: Refresher, store: CountingStore) -> None:
    upload = "images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
    for key in ("images/stray", "images/not-an-id/small.jpg", f"{upload}/retired.jpg", f"{upload}/small.jpg/more"):
        await store.inner.put(key, b"x", content_type="image/jpeg")

    assert (await refresher.examine()).variants == 0
