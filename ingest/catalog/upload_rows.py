"""Reads a short row of every upload, for commands that go through all of them."""

import operator
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select

from ingest.catalog.database import Database
from ingest.catalog.row_mapping import alpha_of
from ingest.catalog.tables import images, upload_jobs
from ingest.records import JobStatus
from proxy.model import UploadId, Visibility

_BATCH = 1000  # rows of one query
_FIRST = UploadId("00000000-0000-0000-0000-000000000000")


@dataclass(frozen=True, slots=True)
class UploadRow:
    """The columns that commands need when they go through all uploads.

    `dimensions`: width and height; None for an upload in progress, or one that died. `alpha` and `animated`: as in
    `Upload`.
    """

    upload_id: UploadId
    created_at: datetime
    status: JobStatus
    dimensions: tuple[int, int] | None
    alpha: bool | None
    visibility: Visibility
    animated: bool

    @property
    def is_accepted(self) -> bool:
        """Whether the upload was acknowledged. Otherwise it is in progress, or died."""
        return self.dimensions is not None


async def read_rows(database: Database, start: UploadId | None) -> AsyncIterator[UploadRow]:
    """Yields a row for each upload, as `UploadReader.rows` describes."""
    page = select_page(operator.ge, start or _FIRST)
    while True:
        async with database.transaction() as connection:
            batch = (await connection.execute(page)).all()
        for row in batch:
            status = JobStatus(row.status)
            dimensions = None if row.width is None else (row.width, row.height)
            visibility = Visibility(row.visibility or Visibility.PUBLIC)  # none in a row without an image
            yield UploadRow(
                UploadId(row.upload_id),
                row.created_at,
                status,
                dimensions,
                alpha_of(row),
                visibility,
                bool(row.animated),
            )
        if len(batch) < _BATCH:
            return
        page = select_page(operator.gt, batch[-1].upload_id)


def select_page(compare: Callable[[Any, UploadId], ColumnElement[bool]], place: UploadId) -> Select[Any]:
    """Selects the next `_BATCH` rows in the order of their ids.

    `compare`: `operator.ge` begins at `place`, `operator.gt` after it. The condition is on the ids of both tables: with
    only one of them, Postgres reads the other table from its first row, for every batch.
    """
    is_same = upload_jobs.c.upload_id == images.c.upload_id
    return (
        select(
            upload_jobs.c.upload_id,
            upload_jobs.c.created_at,
            upload_jobs.c.status,
            images.c.width,
            images.c.height,
            images.c.format,
            images.c.alpha,
            images.c.visibility,
            images.c.animated,
        )
        .outerjoin_from(upload_jobs, images, and_(is_same, compare(images.c.upload_id, place)))
        .where(compare(upload_jobs.c.upload_id, place))
        .order_by(upload_jobs.c.upload_id)
        .limit(_BATCH)
    )
