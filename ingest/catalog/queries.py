"""Parts of queries that several methods of the repository share."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, literal, or_, select, tuple_

from ingest.catalog.tables import SecondsAgo, images, upload_jobs
from ingest.records import STALLED_AFTER, Job, JobStatus
from proxy.model import UploadId


def joined() -> Any:
    """Selects uploads with the columns of their jobs."""
    return select(images, *job_columns("status", "progress", "error", "updated_at")).join_from(
        images, upload_jobs, images.c.upload_id == upload_jobs.c.upload_id
    )


def unfinished(status: JobStatus, *columns: Any) -> Select[Any]:
    """Selects jobs of accepted uploads in `status`, oldest first, in the order of the index by status."""
    return (
        select(*columns)
        .join_from(upload_jobs, images, upload_jobs.c.upload_id == images.c.upload_id)
        .where(upload_jobs.c.status == status)
        .order_by(upload_jobs.c.created_at, upload_jobs.c.upload_id)
    )


def job_columns(*names: str) -> list[Any]:
    """Returns the columns `names` of a job, and those that every read of a job needs."""
    known = (*names, "request_id", "traceparent", "worker", "attempts")
    return [*(upload_jobs.c[name] for name in known), is_silent(STALLED_AFTER).label("is_stalled")]


def touched() -> dict[str, Any]:
    """Returns the columns of a job that every change sets to the present time."""
    return dict.fromkeys(("updated_at", "heartbeat_at"), SecondsAgo(0))


def is_silent(idle: timedelta) -> ColumnElement[bool]:
    """Returns the condition that a job had no heartbeat for `idle`. Without any, its last update counts."""
    last = func.coalesce(upload_jobs.c.heartbeat_at, upload_jobs.c.updated_at)
    return last <= SecondsAgo(idle.total_seconds())


def is_due() -> ColumnElement[bool]:
    """Returns the condition that a job is not in a pause between two attempts."""
    return or_(upload_jobs.c.retry_at.is_(None), upload_jobs.c.retry_at <= SecondsAgo(0))


def position(table: Table, moment: datetime, upload_id: UploadId) -> tuple[Any, Any]:
    """Returns the columns that order a list by time, and the values of one place in it, to compare them as rows.

    A comparison of rows lets the database start reading the index at that place.
    """
    columns = table.c.created_at, table.c.upload_id
    values = [literal(value, column.type) for value, column in zip((moment, upload_id), columns, strict=True)]
    return tuple_(*columns), tuple_(*values)


def stalled(status: JobStatus, after: Job | None, idle: timedelta) -> Select[Any]:
    """Selects jobs in `status` without a heartbeat for `idle`, the oldest uploads first, beginning after `after`."""
    columns = job_columns("upload_id", "status", "progress", "error", "created_at", "updated_at")
    query = unfinished(status, *columns).where(is_silent(idle))
    if after is None:
        return query
    column, place = position(upload_jobs, after.created_at, after.upload_id)
    return query.where(column > place)
