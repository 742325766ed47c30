"""Counts jobs by status, at a cost that does not grow with the number of uploads."""

import math
from time import monotonic
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ingest.catalog.queries import unfinished
from ingest.catalog.tables import EstimatedRows, upload_jobs
from ingest.records import JobStatus

_COUNTED = 10_000
"""Jobs of one status that are counted one by one, so that a count takes 20 ms whatever the number of uploads."""

_FRESH_SECONDS = 60
"""How long the number of all uploads is kept. SQLite takes 20 ms for each million to count them."""


class JobCounts:
    """Counts jobs by status. Keeps the number of all uploads for a minute, for the next scrapes of `/metrics`."""

    def __init__(self) -> None:
        self._total = 0
        self._fresh_until = -math.inf

    async def count(self, connection: AsyncConnection) -> dict[JobStatus, int]:
        """Counts jobs by status, as `UploadReader.count` describes."""
        queries = [select(func.count()).select_from(_some(status).subquery()).scalar_subquery() for status in JobStatus]
        counts = dict(zip(JobStatus, (await connection.execute(select(*queries))).one(), strict=True))
        if counts[JobStatus.COMPLETE] == _COUNTED:
            if monotonic() >= self._fresh_until:
                self._total = (await connection.execute(select(EstimatedRows()))).scalar_one()
                self._fresh_until = monotonic() + _FRESH_SECONDS
            others = sum(counts.values()) - _COUNTED
            counts[JobStatus.COMPLETE] = max(_COUNTED, self._total - others)
        return counts


def _some(status: JobStatus) -> Select[Any]:
    """Selects at most `_COUNTED` jobs in `status`.

    Only pending jobs may belong to an upload that is not accepted, so only these are filtered.
    """
    if status is JobStatus.PENDING:
        return unfinished(status, upload_jobs.c.created_at).order_by(None).limit(_COUNTED)
    return select(upload_jobs.c.created_at).where(upload_jobs.c.status == status).limit(_COUNTED)
