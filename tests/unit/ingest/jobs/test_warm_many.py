"""Warming up many uploads: each once, with limited concurrency and memory, and failures reported."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs import warm_many
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.jobs.warm_many import WarmReport
from ingest.records import JobStatus, Upload
from ingest.stored_variants import accepted_ids
from proxy.errors import ServiceError, StoreUnavailable
from proxy.keys import variant_key
from proxy.model import Fit, Format, Size, Sizes, UploadId, new_upload_id
from tests.memory_store import MemoryStore
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

AFTER = {JobStatus.PENDING: JobStatus.PROCESSING, JobStatus.PROCESSING: JobStatus.FAILED}


class ScriptedWarmUp:
    """Ends each job as `ends` says, and records the greatest concurrency."""

    def __init__(self, **ends: JobStatus | None) -> None:
        self._ends = ends
        self.done: list[UploadId] = []
        self.at_once = self._now = 0

    async def run(self, delivery: Delivery) -> JobStatus | None:
        assert delivery.force
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        self.done.append(delivery.upload_id)
        return self._ends.get(delivery.upload_id, JobStatus.COMPLETE)


async def stored(repository: WatchedRepository, uploads: Sequence[Upload]) -> list[UploadId]:
    for upload in uploads:
        await repository.begin(upload.upload_id)
        await repository.accept(upload)
    return [upload.upload_id for upload in uploads]


async def counted(number: int, seen: list[int]) -> AsyncGenerator[UploadId]:
    for one in range(number):
        seen.append(one)
        yield new_upload_id()


async def test_each_upload_is_warmed_once_within_concurrency() -> None:
    warmup = ScriptedWarmUp()
    progress: list[int] = []

    report = WarmReport()

    await warm_many.warm(
        counted(100, []), warmup, report, concurrency=3, progress=lambda so_far: progress.append(so_far.done)
    )

    assert report == WarmReport(complete=100)
    assert len(set(warmup.done)) == 100
    assert warmup.at_once == 3
    assert progress == list(range(1, 101))


async def test_uploads_are_read_lazily() -> None:
    """Only uploads that are being warmed up are in memory."""
    taken: list[int] = []
    ahead: list[int] = []

    await warm_many.warm(
        counted(500, taken),
        ScriptedWarmUp(),
        WarmReport(),
        concurrency=2,
        progress=lambda so_far: ahead.append(len(taken) - so_far.done),
    )

    assert max(ahead) <= 2


async def test_report_names_failures_and_counts_skipped(repository: WatchedRepository) -> None:
    fine, broken, elsewhere = await stored(repository, [accepted() for _ in range(3)])
    warmup = ScriptedWarmUp(**{broken: JobStatus.FAILED, elsewhere: None})

    report = WarmReport()

    await warm_many.warm(accepted_ids(repository), warmup, report, concurrency=2, progress=lambda _: None)

    assert (report.complete, report.skipped, report.done) == (1, 1, 3)
    assert report.failures.listed == [(broken, "its warm-up failed, `darkroom show` says why")]
    assert set(warmup.done) == {fine, broken, elsewhere}


async def store_variants(store: MemoryStore, upload_id: UploadId, *formats: str) -> None:
    for variant in SIZES.variants:
        if variant.format in formats:
            await store.put(variant_key(upload_id, variant), b"x", content_type="image/png")


async def test_find_unwarmed_yields_uploads_that_lack_a_standard_variant(repository: WatchedRepository) -> None:
    store = MemoryStore()
    whole, unwarmed, added, failed = await stored(repository, [accepted() for _ in range(4)])
    for upload_id in (whole, added, failed):
        await store_variants(store, upload_id, *Format)
    await store.delete(variant_key(added, SIZES.standard(alpha=False)[0]))
    for status in (JobStatus.PENDING, JobStatus.PROCESSING):
        await repository.advance(failed, expect=status, to=AFTER[status])

    found = [upload_id async for upload_id in warm_many.find_unwarmed(store, repository, SIZES)]

    assert found == sorted([unwarmed, added, failed])


@pytest.mark.parametrize(("alpha", "fallback"), [(False, "jpg"), (True, "png")])
async def test_find_unwarmed_ignores_variants_that_are_not_standard(
    repository: WatchedRepository, alpha: bool, fallback: str
) -> None:
    store = MemoryStore()
    ids = await stored(repository, [accepted(format="png", alpha=alpha) for _ in range(3)])
    await store_variants(store, ids[0], fallback, "webp", "avif")
    await store_variants(store, ids[1], "jpg" if alpha else "png", "webp", "avif")
    await store_variants(store, ids[2], *Format)

    assert [upload_id async for upload_id in warm_many.find_unwarmed(store, repository, SIZES)] == [ids[1]]


async def test_find_unwarmed_yields_nothing_without_standard_variants(repository: WatchedRepository) -> None:
    await stored(repository, [accepted()])

    sizes = Sizes(Size("small", 48, 48, Fit.COVER, warm=()))

    assert [upload_id async for upload_id in warm_many.find_unwarmed(MemoryStore(), repository, sizes)] == []


async def test_unknown_ids_do_not_end_the_run(repository: WatchedRepository) -> None:
    first, last = await stored(repository, [accepted(), accepted()])
    unknown = new_upload_id()
    report, warmup = WarmReport(), ScriptedWarmUp()
    uploads = warm_many.find_each(repository, [first, unknown, last], report)

    await warm_many.warm(uploads, warmup, report, concurrency=2, progress=lambda _: None)

    assert report == WarmReport(complete=2, unknown=[unknown])
    assert set(warmup.done) == {first, last}


class Stopped(ScriptedWarmUp):
    """Raises `failure` for one upload, as a job that may be tried again does."""

    def __init__(self, upload_id: UploadId, failure: Exception) -> None:
        super().__init__()
        self._stopped_at, self._failure = upload_id, failure

    async def run(self, delivery: Delivery) -> JobStatus | None:
        if delivery.upload_id == self._stopped_at:
            raise self._failure
        return await super().run(delivery)


def try_again(cause: ServiceError) -> TryAgain:
    reason = TryAgain(str(cause), 1.0)
    reason.__cause__ = cause
    return reason


@pytest.mark.parametrize(
    "failure",
    [
        CatalogUnavailable("The database does not answer."),
        try_again(StoreUnavailable("The object store does not answer.", is_outage=True)),
    ],
    ids=["database", "store"],
)
async def test_outage_ends_the_run_and_names_the_place(repository: WatchedRepository, failure: Exception) -> None:
    ids = sorted(await stored(repository, [accepted() for _ in range(3)]))
    warmup, report, places = Stopped(ids[1], failure), WarmReport(), list[UploadId]()

    with pytest.raises(ExceptionGroup) as raised:
        await warm_many.warm(
            accepted_ids(repository), warmup, report, concurrency=1, progress=lambda _: None, on_stop=places.append
        )

    assert [type(error) for error in raised.value.exceptions] == [type(failure.__cause__ or failure)]
    assert (warmup.done, places, report) == (ids[:1], ids[1:2], WarmReport(complete=1))


async def test_database_outage_between_given_ids_ends_the_run(repository: WatchedRepository) -> None:
    ids = await stored(repository, [accepted(), accepted()])
    repository.fail("find")
    report, warmup = WarmReport(), ScriptedWarmUp()

    uploads = warm_many.find_each(repository, ids, report)

    with pytest.raises(ExceptionGroup, match="unhandled errors") as raised:
        await warm_many.warm(uploads, warmup, report, concurrency=1, progress=lambda _: None)

    assert [type(error) for error in raised.value.exceptions] == [CatalogUnavailable]
    assert warmup.done == []


async def test_find_unwarmed_ignores_sizes_that_repeat_pixels(repository: WatchedRepository) -> None:
    store = MemoryStore()
    sizes = Sizes(*(Size(f"w{width}", width, None, Fit.INSIDE, warm=(Format.WEBP,)) for width in (320, 640, 1280)))
    warmed, unwarmed = sorted(await stored(repository, [accepted(width=600, height=400) for _ in range(2)]))
    for upload_id, names in {warmed: ("w320", "w640"), unwarmed: ("w320", "w1280")}.items():
        for name in names:
            await store.put(f"images/{upload_id}/{name}.webp", b"x", content_type="image/webp")

    assert [upload_id async for upload_id in warm_many.find_unwarmed(store, repository, sizes)] == [unwarmed]
