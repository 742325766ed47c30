"""Helpers that create and read uploads in a repository."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import SecondsAgo, upload_jobs
from ingest.records import Job, JobStatus, Upload, VariantState, WarmedVariant
from proxy.model import UploadId, new_upload_id

PENDING, PROCESSING, COMPLETE, FAILED = JobStatus
NOON = datetime(2025, 11, 2, 12, 0, 0, 123456, tzinfo=UTC)
WAYS = {PENDING: (), PROCESSING: (PROCESSING,), COMPLETE: (PROCESSING, COMPLETE), FAILED: (PROCESSING, FAILED)}
"""Transitions from pending to each status."""


def upload_of(upload_id: UploadId, created_at: datetime = NOON) -> Upload:
    variants = {
        "small.jpg": WarmedVariant(f"/images/{upload_id}/small.jpg"),
        "small.avif": WarmedVariant(f"/images/{upload_id}/small.avif", VariantState.STORED, 3511, 12.5),
        "large.png": WarmedVariant(f"/images/{upload_id}/large.png", VariantState.STORED, 1_000_000, None),
    }
    return Upload(
        upload_id, "webp", 3_521_004, 4032, 3024, "1QcSHQRnh493V4dIh4eXh1h4kJUI", "#7a6b5c", variants, created_at
    )


async def accept_upload(
    repository: JobRepository, status: JobStatus = PENDING, *, created_at: datetime = NOON, upload_id: str = ""
) -> UploadId:
    """Accepts an upload and brings its job to `status`."""
    chosen = UploadId(upload_id or new_upload_id())
    await repository.begin(chosen)
    await repository.accept(upload_of(chosen, created_at))
    before = PENDING
    for step in WAYS[status]:
        await repository.advance(chosen, expect=before, to=step)
        before = step
    return chosen


async def let_pass(repository: JobRepository, upload_id: UploadId, passed: timedelta) -> None:
    """Moves a job's last heartbeat into the past."""
    where = upload_jobs.c.upload_id == upload_id
    async with repository._database.transaction() as connection:
        for column in (upload_jobs.c.updated_at, upload_jobs.c.heartbeat_at):
            past = SecondsAgo(passed.total_seconds())
            await connection.execute(update(upload_jobs).where(where, column.is_not(None)).values({column: past}))


async def job_of(repository: JobRepository, upload_id: UploadId) -> Job:
    return (await repository.find(upload_id))[1]


async def newest_ids(repository: JobRepository, limit: int = 100) -> list[UploadId]:
    return [upload.upload_id for upload, _ in (await repository.newest(limit)).uploads]
