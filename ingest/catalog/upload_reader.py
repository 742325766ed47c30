"""Reads uploads and their jobs: one, some, or all by pages."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from sqlalchemy import select

from ingest.catalog.cursors import encode_cursor, parse_cursor
from ingest.catalog.database import Database
from ingest.catalog.job_counts import JobCounts
from ingest.catalog.queries import joined, position
from ingest.catalog.row_mapping import to_job, to_upload
from ingest.catalog.tables import images, upload_jobs
from ingest.catalog.upload_filter import ALL_UPLOADS, UploadFilter
from ingest.catalog.upload_rows import UploadRow, read_rows
from ingest.records import Job, JobStatus, Upload
from proxy.errors import UnknownUpload
from proxy.model import UploadId


@dataclass(frozen=True, slots=True)
class Page:
    """Uploads with their jobs, newest first. `cursor` leads to the next page; None on the last."""

    uploads: list[tuple[Upload, Job]]
    cursor: str | None


class UploadReader:
    """The read-only methods of `JobRepository`. Each raises CatalogUnavailable if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts = JobCounts()

    async def find(self, upload_id: UploadId) -> tuple[Upload, Job]:
        """Returns the upload and its job. Raises UnknownUpload, also for an upload that is still in progress."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(joined().where(images.c.upload_id == upload_id))).first()
        if row is None:
            raise unknown_upload()
        return to_upload(row), to_job(row)

    async def exists(self, upload_id: UploadId) -> bool:
        """Returns whether the upload has a row, even if it is still in progress."""
        query = select(upload_jobs.c.upload_id).where(upload_jobs.c.upload_id == upload_id)
        async with self._database.transaction() as connection:
            return (await connection.execute(query)).first() is not None

    async def is_accepted(self, upload_id: UploadId) -> bool:
        """Returns whether the upload was accepted; an upload in progress was not."""
        query = select(images.c.upload_id).where(images.c.upload_id == upload_id)
        async with self._database.transaction() as connection:
            return (await connection.execute(query)).first() is not None

    async def newest(self, limit: int, cursor: str | None = None, wanted: UploadFilter = ALL_UPLOADS) -> Page:
        """Returns a page of accepted uploads. Raises InvalidCursor.

        `cursor`: a place in the list of all uploads, so `wanted` must be given for each page.
        """
        query = joined().order_by(images.c.created_at.desc(), images.c.upload_id.desc()).limit(limit + 1)
        query = query.where(*wanted.conditions())
        if cursor is not None:
            column, place = position(images, *parse_cursor(cursor))
            query = query.where(column < place)
        async with self._database.transaction() as connection:
            rows = (await connection.execute(query)).all()
        uploads = [(to_upload(row), to_job(row)) for row in rows[:limit]]
        if len(rows) <= limit:
            return Page(uploads, None)
        last, _ = uploads[-1]
        return Page(uploads, encode_cursor(last.created_at, last.upload_id))

    async def find_many(self, upload_ids: Collection[UploadId]) -> dict[UploadId, tuple[Upload, Job]]:
        """Returns uploads and their jobs by id, in one query. Leaves out ids for which `find` raises UnknownUpload."""
        query = joined().where(images.c.upload_id.in_(upload_ids))
        async with self._database.transaction() as connection:
            rows = (await connection.execute(query)).all()
        return {UploadId(row.upload_id): (to_upload(row), to_job(row)) for row in rows}

    async def rows(self, start: UploadId | None = None) -> AsyncIterator[UploadRow]:
        """Yields a row for each upload from `start` on, also those in progress, in the order of their ids.

        Holds one batch in memory. Costs some 10 µs for each upload, and a query for each 1,000. Uploads that begin or
        end meanwhile may or may not be included.
        """
        async for row in read_rows(self._database, start):
            yield row

    async def count(self) -> dict[JobStatus, int]:
        """Counts accepted uploads by job status, in a time that does not grow with their number.

        Counts stop at 10,000. Above that, `complete` is an estimate: the number of uploads in the database's
        statistics, which is read once a minute, minus the other counts.
        """
        async with self._database.transaction() as connection:
            return await self._counts.count(connection)


def unknown_upload() -> UnknownUpload:
    return UnknownUpload("No image was uploaded under this id, or it was deleted.")
