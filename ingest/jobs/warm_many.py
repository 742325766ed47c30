"""Warms up many uploads in bounded memory, for the command line."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from ingest.catalog.repository import JobRepository
from ingest.jobs.queue.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.records import Job, JobStatus, Upload, VariantState
from proxy.errors import UnknownUpload
from proxy.model import Sizes, UploadId

Uploads = AsyncIterator[tuple[Upload, Job]]


@dataclass(slots=True)
class WarmReport:
    """Result of a run of `darkroom warm`. `skipped`: another worker had the job, or the upload was deleted."""

    complete: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.complete + self.skipped + len(self.failed)


async def find_each(repository: JobRepository, ids: Sequence[UploadId]) -> Uploads:
    """Yields the uploads with these ids. Raises UnknownUpload."""
    for upload_id in ids:
        try:
            yield await repository.find(upload_id)
        except UnknownUpload:
            raise UnknownUpload(f"{upload_id}: no such upload.") from None


async def find_unwarmed(repository: JobRepository, sizes: Sizes) -> Uploads:
    """Yields uploads for which the catalog does not record every current standard variant as stored."""
    async for upload, job in repository.each():
        stored = {name for name, known in upload.variants.items() if known.state is VariantState.STORED}
        if any(variant.name not in stored for variant in sizes.standard(upload.alpha)):
            yield upload, job


async def warm(
    uploads: Uploads, warmup: WarmUp, *, concurrency: int, progress: Callable[[WarmReport], None]
) -> WarmReport:
    """Warms up `uploads`, `concurrency` at a time. Calls `progress` after each."""
    report = WarmReport()
    lock = asyncio.Lock()  # an async generator serves one caller at a time

    async def work() -> None:
        while True:
            async with lock:
                entry = await anext(uploads, None)
            if entry is None:
                return
            upload, _ = entry
            status = await deliver(warmup.run, upload.upload_id, force=True)
            if status is JobStatus.COMPLETE:
                report.complete += 1
            elif status is JobStatus.FAILED:
                report.failed.append(upload.upload_id)
            else:
                report.skipped += 1
            progress(report)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return report
