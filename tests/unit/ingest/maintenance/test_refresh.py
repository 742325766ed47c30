"""Stale variants are found, estimated and derived again; others are kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from ingest.catalog.repository import JobRepository
from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.maintenance.refresh import Findings, Refresher
from ingest.records import VariantState, WarmedVariant
from ingest.uploads.upload_service import UploadService
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.storage.object_store import ObjectInfo, ObjectStore
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, eventually
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, accepted, image_bytes

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST, SECOND, *_ = SIZES.variants
LARGE = Variant(FIRST.size, FIRST.format, 2)


@pytest.fixture
def refresher(store: CountingStore, repository: JobRepository, variant_service: VariantService) -> Refresher:
    return Refresher(store, Recipes(Settings()), SIZES, repository, variant_service)


async def warmed(uploads: UploadService, warmup: WarmUp) -> UploadId:
    upload = await uploads.receive(chunks_of(image_bytes()))
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

    assert await refresher.examine() == Findings(examined=1, seconds=0.0)
    assert await refresher.refresh(concurrency=2) == Findings(examined=1, seconds=0.0)
    assert not [call for call in store.calls if call[0] in ("put", "delete")]


@pytest.mark.heavy
async def test_stale_variants_are_counted(
    uploads: UploadService, warmup: WarmUp, refresher: Refresher, store: CountingStore
) -> None:
    ids = [await warmed(uploads, warmup) for _ in range(3)]
    size = await make_stale(store.inner, ids[0], FIRST, SECOND) + await make_stale(store.inner, ids[2], FIRST, LARGE)

    seen: list[int] = []

    findings = await refresher.examine(lambda so_far: seen.append(so_far.examined))

    assert seen == [1, 2, 3]
    assert (findings.uploads, findings.variants, findings.size) == (2, 4, size)


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
    upload_id = (await uploads.receive(chunks_of(image_bytes()))).upload_id
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

    report = await refresher.refresh(concurrency=2, progress=lambda so_far: seen.append(so_far.variants))

    assert (report.examined, report.uploads, report.variants, report.failures.count) == (3, 1, 2, 0)
    assert max(seen) == 2
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

    report = await refresher.refresh(concurrency=1)

    assert (report.examined, report.uploads, report.variants) == (2, 1, 1)
    assert [upload_id for upload_id, _ in report.failures.listed] == [broken]
    assert (await store.inner.get(variant_key(broken, FIRST))).body == b"of yesterday"


async def test_variants_of_unconfigured_sizes_are_ignored(refresher: Refresher, store: CountingStore) -> None:
    upload = "images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
    for key in ("images/stray", "images/not-an-id/small.jpg", f"{upload}/retired.jpg", f"{upload}/small.jpg/more"):
        await store.inner.put(key, b"x", content_type="image/jpeg")

    assert (await refresher.examine()).variants == 0


class TestRefusedObjects:
    """A listing as S3's, so that each variant is looked up. `ids` ascend."""

    @pytest_asyncio.fixture(loop_scope="session")
    async def ids(
        self, uploads: UploadService, store: CountingStore, monkeypatch: pytest.MonkeyPatch
    ) -> list[UploadId]:
        ids = sorted([(await uploads.receive(chunks_of(image_bytes()))).upload_id for _ in range(3)])
        for upload_id in ids:
            await make_stale(store.inner, upload_id, FIRST, SECOND)
        list_all = store.list

        async def list_without_headers(prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
            async for info in list_all(prefix, after=after):
                yield ObjectInfo(info.key, info.size, info.last_modified)

        monkeypatch.setattr(store, "list", list_without_headers)
        return ids

    async def test_refused_variant_is_reported_and_the_others_are_found(
        self, ids: list[UploadId], refresher: Refresher, store: CountingStore
    ) -> None:
        refused = variant_key(ids[1], FIRST)
        store.refuse("head", refused)

        findings = await refresher.examine()

        assert (findings.examined, findings.uploads, findings.variants) == (3, 3, 5)
        assert findings.failures.listed == [(ids[1], f"The fake store refuses {refused}.")]

    @pytest.mark.heavy
    async def test_refused_look_up_and_write_leave_the_others_refreshed(
        self, ids: list[UploadId], refresher: Refresher, store: CountingStore
    ) -> None:
        store.refuse("head", variant_key(ids[0], FIRST))
        store.refuse("put", variant_key(ids[1], FIRST))

        findings = await refresher.refresh(concurrency=2)

        assert sorted(upload_id for upload_id, _ in findings.failures.listed) == ids[:2]
        stale = {
            (upload_id, variant)
            for upload_id in ids
            for variant in (FIRST, SECOND)
            if (await store.inner.get(variant_key(upload_id, variant))).body == b"of yesterday"
        }
        assert stale == {(ids[0], FIRST), (ids[1], FIRST)}

    async def test_outage_ends_the_run_and_names_the_place(
        self, ids: list[UploadId], refresher: Refresher, store: CountingStore
    ) -> None:
        store.refuse("head", variant_key(ids[1], SECOND), is_outage=True)
        places: list[UploadId] = []

        with pytest.raises(ExceptionGroup) as raised:
            await refresher.examine(on_stop=places.append)

        assert [str(error) for error in raised.value.exceptions] == [
            f"The fake store refuses {variant_key(ids[1], SECOND)}."
        ]
        assert places[0] <= ids[1]

    async def test_look_ups_are_concurrent_within_their_bound(
        self, ids: list[UploadId], refresher: Refresher, store: CountingStore, repository: JobRepository
    ) -> None:
        """As many as the store of S3 has slots for lookups: one more would wait, and its deadline with it."""
        for _ in range(27):
            upload = accepted()
            await repository.begin(upload.upload_id)
            await repository.accept(upload)
            await make_stale(store.inner, upload.upload_id, FIRST, SECOND)
        gate = store.hold("head")
        examining = asyncio.create_task(refresher.examine())

        await eventually(lambda: store.count("head") >= 24)
        for _ in range(100):
            await asyncio.sleep(0)
        started = store.count("head")
        gate.open()

        assert started == 24
        assert (await examining).variants == 2 * 30
