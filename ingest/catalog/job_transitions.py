"""Column values of job transitions, and the counting of attempts."""

from typing import Any

from sqlalchemy import case

from ingest.catalog.queries import touched
from ingest.catalog.tables import SecondsAgo, upload_jobs
from ingest.records import JobStatus


def restart_values() -> dict[str, Any]:
    """Returns the columns of a job that starts again, from any status. A worker that still runs the job loses it."""
    values = {"status": JobStatus.PENDING, "progress": 0, "error": None, "worker": None, "attempts": 0}
    return values | {"retry_at": None} | touched()


def transition_values(
    expect: JobStatus, to: JobStatus, *, error: str | None, worker: str | None, retry_in: float | None
) -> dict[str, Any]:
    """Returns the columns that `JobRepository.advance` sets."""
    begins = to is JobStatus.PROCESSING
    values: dict[str, Any] = {"status": to, "error": error, "worker": worker if begins else None} | touched()
    values["retry_at"] = None if retry_in is None else SecondsAgo(-retry_in)
    if begins:
        values["attempts"] = 1 if expect.has_ended else upload_jobs.c.attempts + 1
    elif to is JobStatus.PENDING and retry_in is None:
        # Earlier versions claim a job without counting the attempt, so the count may be 0.
        values["attempts"] = case((upload_jobs.c.attempts > 0, upload_jobs.c.attempts - 1), else_=0)
    return values
