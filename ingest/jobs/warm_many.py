"""Warms up many uploads in bounded memory, for the command line."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.catalog.repository import JobRepository
from ingest.failures import Failures
from ingest.jobs.deliver import deliver
from ingest.jobs.for_each import for_each
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.jobs.warm_up import WarmUp
from ingest.offered_sizes import standard_variants
from ingest.records import JobStatus
from ingest.stored_variants import stored_variants
from proxy.errors import ServiceError, UnknownUpload
from proxy.model import Sizes, UploadId
from proxy.storage.object_store import ObjectStore

Uploads = AsyncIterator[UploadId]


@dataclass(slots=True)
class WarmReport:
    """Result of a run of `darkroom warm`.

    `skipped`: another worker had the job, or the upload was deleted meanwhile. `unknown`: no upload has this id.
    """

    complete: int = 0
    skipped: int = 0
    failures: Failures[UploadId] = field(default_factory=Failures)
    unknown: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """The number of uploads that are finished, whatever their result."""
        return self.complete + self.skipped + self.failures.count + len(self.unknown)

    def to_json(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            "skipped": self.skipped,
            "unknown": self.unknown,
            **self.failures.to_json(),
        }


async def find_each(repository: JobRepository, ids: Sequence[UploadId], report: WarmReport) -> Uploads:
    """Yields the uploads with these ids. Adds those that are unknown to `report`. Raises CatalogUnavailable."""
    for upload_id in ids:
        try:
            await repository.find(upload_id)
        except UnknownUpload:
            report.unknown.append(upload_id)
        else:
            yield upload_id


async def find_unwarmed(
    store: ObjectStore, repository: JobRepository, sizes: Sizes, start: UploadId | None = None
) -> Uploads:
    """Yields uploads from `start` on that lack a standard variant in the store, or whose warm-up failed."""
    async for row, stored in stored_variants(store, repository, sizes, start):
        assert row.dimensions is not None  # `stored_variants` leaves out uploads in progress
        standard = standard_variants(sizes, *row.dimensions, row.alpha, row.visibility, animated=row.animated)
        if row.status is JobStatus.FAILED or any(variant not in stored for variant in standard):
            yield row.upload_id


async def warm(
    uploads: Uploads,
    warmup: WarmUp,
    report: WarmReport,
    *,
    concurrency: int,
    progress: Callable[[WarmReport], None],
    on_stop: Callable[[UploadId], None] = lambda _: None,
) -> None:
    """Warms up `uploads`, `concurrency` at a time, and adds to `report`.

    Calls `progress` after each, and `on_stop` as `for_each` does. An outage is raised in an exception group; the jobs
    that it stopped are pending again.
    """

    async def attempt(delivery: Delivery) -> JobStatus | None:
        try:
            return await warmup.run(delivery)
        except TryAgain as reason:
            if isinstance(reason.__cause__, ServiceError) and reason.__cause__.is_outage:
                raise reason.__cause__ from None
            raise

    async def work(upload_id: UploadId) -> None:
        status = await deliver(attempt, upload_id, force=True)
        if status is JobStatus.COMPLETE:
            report.complete += 1
        elif status is JobStatus.FAILED:
            report.failures.add(upload_id, "its warm-up failed, `darkroom show` says why")
        else:
            report.skipped += 1
        progress(report)

    await for_each(uploads, work, concurrency, on_stop=on_stop)
