"""Stores uploads and jobs in SQL, and changes a job only from the state that its caller expects."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, update
from sqlalchemy.exc import IntegrityError

from ingest.catalog import idempotency_keys
from ingest.catalog.database import Database, now
from ingest.catalog.job_transitions import restart_values, transition_values
from ingest.catalog.queries import is_due, is_silent, stalled, touched, unfinished
from ingest.catalog.row_mapping import to_job, to_upload
from ingest.catalog.tables import SecondsAgo, images, upload_jobs
from ingest.catalog.upload_reader import UploadReader, unknown_upload
from ingest.catalog.webhook_outbox import WebhookOutbox
from ingest.idempotency_key import IdempotencyKey, is_source_digest
from ingest.ingest_errors import KeyReused
from ingest.records import (
    NO_TRACE,
    STALLED_AFTER,
    TRANSITIONS,
    Job,
    JobNotClaimable,
    JobStatus,
    TraceContext,
    Upload,
    WarmedVariant,
    WebhookType,
)
from proxy.model import UploadId

_WEBHOOKS = {JobStatus.COMPLETE: WebhookType.READY, JobStatus.FAILED: WebhookType.FAILED}
PAGE = 500
"""Jobs on a page of `find_stalled`."""


class _AlreadyAccepted(Exception):
    pass


class JobRepository(UploadReader):
    """Stores uploads and jobs. Every change is one transaction. Raises CatalogUnavailable if the database fails.

    `outbox`: gets a webhook in the transaction that ends a job or deletes an accepted upload; None if none are sent.
    """

    def __init__(self, database: Database, outbox: WebhookOutbox | None = None) -> None:
        super().__init__(database)
        self._outbox = outbox

    async def begin(
        self, upload_id: UploadId, key: IdempotencyKey | None = None, trace_context: TraceContext = NO_TRACE
    ) -> datetime:
        """Inserts a pending job when an upload begins. Returns the time by the database's clock.

        Raises InProgress if another upload has the key, KeyReused for a ticket or source whose upload was deleted.
        """
        values = {"upload_id": upload_id, "status": JobStatus.PENDING, "progress": 0, **asdict(trace_context)}
        async with self._database.transaction() as connection:
            moment = await now(connection)
            values |= dict.fromkeys(("created_at", "updated_at", "heartbeat_at"), moment)
            if key is None:
                await connection.execute(insert(upload_jobs).values(values))
            else:
                await idempotency_keys.begin(connection, key, values)
        return moment

    async def accept(self, upload: Upload, fingerprint: str | None = None) -> None:
        """Records an upload whose original is stored. From now on it exists and its job is claimable.

        `fingerprint`: only for an upload with an idempotency key. Raises InProgress if another upload took the key.
        """
        query = update(upload_jobs).where(upload_jobs.c.upload_id == upload.upload_id)
        if fingerprint is not None:
            query = query.where(upload_jobs.c.idempotency_key.is_not(None))
        moment = upload.created_at
        values = {"created_at": moment, "updated_at": moment, "heartbeat_at": SecondsAgo(0), "fingerprint": fingerprint}
        async with self._database.transaction() as connection:
            digest = (await connection.execute(query.values(values).returning(upload_jobs.c.idempotency_key))).scalar()
            if fingerprint is not None and digest is None:
                raise idempotency_keys.in_progress()
            if digest and is_source_digest(digest):
                await idempotency_keys.revive(connection, digest)
            await connection.execute(insert(images).values(asdict(upload)))

    async def find_by_key(self, key: IdempotencyKey) -> tuple[Upload, str] | None:
        """Returns the upload accepted with the key and its fingerprint, None if the key is free or expired.

        Raises InProgress while an upload with the key is in progress, KeyReused for a spent ticket or source.
        """
        async with self._database.transaction() as connection:
            row = await idempotency_keys.find(connection, key)
        return row and (to_upload(row), row.fingerprint)

    async def find_by_sources(self, digests: Collection[str]) -> dict[str, tuple[Upload, str]]:
        """Returns imported uploads and their fingerprints by the digest of their source's key, in one query.

        `digests`: at most some hundred, because each is a parameter of the query.
        """
        async with self._database.transaction() as connection:
            rows = await idempotency_keys.find_accepted(connection, digests)
        return {row.idempotency_key: (to_upload(row), row.fingerprint) for row in rows}

    async def delete(self, upload_id: UploadId, *, keeps_key: bool = True) -> bool:
        """Removes the rows of the upload and its job. Returns False if it has no rows.

        `keeps_key`: keep the key of an accepted upload's ticket or source, so that neither can be used again. False for
        an upload whose client gets an error, and may try again with the same ticket.
        """
        async with self._database.transaction() as connection:
            if self._outbox:
                # Locks the row, as otherwise two deletions at once would each add a webhook.
                lock = update(upload_jobs).where(upload_jobs.c.upload_id == upload_id).values(touched())
                await connection.execute(lock)
                await self._outbox.add(connection, WebhookType.DELETED, upload_id)
            # The foreign key cascades to `images`. Deleting that row first could deadlock with `record`.
            query = delete(upload_jobs).where(upload_jobs.c.upload_id == upload_id)
            columns = upload_jobs.c.idempotency_key, upload_jobs.c.fingerprint
            row = (await connection.execute(query.returning(*columns))).first()
            if keeps_key and row and row.fingerprint and row.idempotency_key:
                await idempotency_keys.keep_spent(connection, row.idempotency_key)
            return row is not None

    async def adopt(self, upload: Upload, status: JobStatus, source: tuple[IdempotencyKey, str] | None = None) -> bool:
        """Inserts the lost rows of an upload whose original is stored. Returns False if it is accepted already.

        The job row of an upload that was never accepted is replaced. `source`: key and fingerprint of an imported
        upload. Raises KeyReused if another upload has this key, or had it and was deleted.
        """
        where = upload_jobs.c.upload_id == upload.upload_id
        job: dict[str, Any] = {"status": status, "progress": 100 if status is JobStatus.COMPLETE else 0, "error": None}
        job |= {"created_at": upload.created_at, "updated_at": SecondsAgo(0), "heartbeat_at": SecondsAgo(0)}
        job |= {"attempts": 0, "retry_at": None}
        if source:
            job |= {"idempotency_key": source[0].digest, "fingerprint": source[1]}
        try:
            async with self._database.transaction() as connection:
                try:
                    if not (await connection.execute(update(upload_jobs).where(where).values(job))).rowcount:
                        await connection.execute(insert(upload_jobs).values(job | {"upload_id": upload.upload_id}))
                    await connection.execute(insert(images).values(asdict(upload)))
                except IntegrityError as error:
                    raise _AlreadyAccepted from error
                if source:
                    await idempotency_keys.refuse_spent(connection, source[0])
        except _AlreadyAccepted:
            if source and not await self.is_accepted(upload.upload_id):
                raise KeyReused("Its source was imported as another upload.") from None
            return False
        return True

    async def change_presentation(
        self, upload_id: UploadId, values: Mapping[str, Any], variants: Mapping[str, WarmedVariant]
    ) -> None:
        """Records `focus` or `visibility`, and the variants' state, and restarts the job. Raises UnknownUpload."""
        states = {name: asdict(variant) for name, variant in variants.items()}
        async with self._database.transaction() as connection:
            job = update(upload_jobs).where(upload_jobs.c.upload_id == upload_id).values(restart_values())
            await connection.execute(job)
            upload = update(images).where(images.c.upload_id == upload_id).values({**values, "variants": states})
            if (await connection.execute(upload)).rowcount == 0:
                raise unknown_upload()

    async def change_fields(self, upload_id: UploadId, values: Mapping[str, Any]) -> Upload:
        """Sets columns of `owner`, `external_id` and `metadata`, and returns the upload. Raises UnknownUpload."""
        query = update(images).where(images.c.upload_id == upload_id).values(values).returning(images)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise unknown_upload()
        return to_upload(row)

    async def longest_wait(self) -> timedelta:
        """Returns how long the oldest pending job has waited, by the database's clock; 0 if no job is pending."""
        job = await self._first_pending()
        return max(job.now - job.created_at, timedelta(0)) if job else timedelta(0)

    async def next_pending(self, taken: Collection[UploadId] = ()) -> UploadId | None:
        """Returns the oldest pending job that is due and not in `taken`, or None."""
        job = await self._first_pending(is_due(), upload_jobs.c.upload_id.not_in(taken))
        return job and UploadId(job.upload_id)

    async def _first_pending(self, *where: ColumnElement[bool]) -> Row[Any] | None:
        columns = upload_jobs.c.upload_id, upload_jobs.c.created_at, SecondsAgo(0).label("now")
        query = unfinished(JobStatus.PENDING, *columns)
        query = query.where(*where).limit(1)
        async with self._database.transaction() as connection:
            row: Row[Any] | None = (await connection.execute(query)).first()
        return row

    async def recover(self, idle: timedelta = timedelta(0)) -> int:
        """Makes processing jobs without a heartbeat for `idle` pending again. Returns their number."""
        query = (
            update(upload_jobs)
            .where(upload_jobs.c.status == JobStatus.PROCESSING, is_silent(idle))
            .values(touched() | {"status": JobStatus.PENDING, "worker": None})
        )
        async with self._database.transaction() as connection:
            return (await connection.execute(query)).rowcount

    async def find_stalled(
        self, status: JobStatus, after: Job | None = None, *, idle: timedelta = STALLED_AFTER
    ) -> list[Job]:
        """Returns a page of jobs in `status` without a heartbeat for `idle`, the oldest uploads first.

        `after`: the last job of the page before. Reads the index by status from there on, not all unfinished jobs.
        """
        query = stalled(status, after, idle).limit(PAGE)
        async with self._database.transaction() as connection:
            return [to_job(row) for row in await connection.execute(query)]

    async def advance(
        self,
        upload_id: UploadId,
        *,
        expect: JobStatus,
        to: JobStatus,
        progress: int | None = None,
        error: str | None = None,
        worker: str | None = None,
        retry_in: float | None = None,
        sends_webhook: bool = True,
    ) -> int:
        """Changes a job's status from `expect` to `to` (compare-and-set). Returns the number of its attempts.

        `to=PROCESSING` begins an attempt; attempts are counted from 1 if the job had ended. `to=PENDING` with
        `retry_in` (seconds until the next attempt) ends a failed attempt. Without `retry_in`, the attempt was
        interrupted and does not count.

        `sends_webhook`: whether to add a webhook if `to` ends the job; False if the job had ended with this status
        before. `worker`: the id of the run that claims the job, or that must hold it. Raises JobNotClaimable if the
        status is not `expect` or another run holds the job, ValueError for a change that is not in `TRANSITIONS`.
        """
        if to not in TRANSITIONS[expect]:
            raise ValueError(f"no transition from {expect} to {to}")
        begins = to is JobStatus.PROCESSING
        values = transition_values(expect, to, error=error, worker=worker, retry_in=retry_in)
        if progress is not None:
            values["progress"] = progress
        webhook = _WEBHOOKS.get(to) if sends_webhook else None
        return await self._update(upload_id, expect, None if begins else worker, values, webhook=webhook)

    async def record(
        self, upload_id: UploadId, progress: int, variants: Mapping[str, WarmedVariant], worker: str | None = None
    ) -> None:
        """Records the progress of a processing job. Raises JobNotClaimable if `worker` does not process it."""
        states = {name: asdict(variant) for name, variant in variants.items()}
        await self._update(upload_id, JobStatus.PROCESSING, worker, {"progress": progress} | touched(), variants=states)

    async def record_heartbeat(self, upload_id: UploadId, worker: str) -> None:
        """Records that `worker` is alive. Raises JobNotClaimable if it no longer holds the job."""
        await self._update(upload_id, JobStatus.PROCESSING, worker, {"heartbeat_at": SecondsAgo(0)})

    async def _update(
        self,
        upload_id: UploadId,
        expect: JobStatus,
        worker: str | None,
        values: dict[str, Any],
        *,
        variants: dict[str, Any] | None = None,
        webhook: WebhookType | None = None,
    ) -> int:
        """Updates the job's row if it has the expected status and worker. Returns the number of its attempts."""
        where = and_(upload_jobs.c.upload_id == upload_id, upload_jobs.c.status == expect)
        if worker is not None:
            where = and_(where, upload_jobs.c.worker == worker)
        async with self._database.transaction() as connection:
            query = update(upload_jobs).where(where).values(values).returning(upload_jobs.c.attempts)
            attempts: int | None = (await connection.execute(query)).scalar_one_or_none()
            if attempts is None:
                raise JobNotClaimable(upload_id)
            if variants is not None:
                await connection.execute(
                    update(images).where(images.c.upload_id == upload_id).values(variants=variants)
                )
            if webhook and self._outbox:
                await self._outbox.add(connection, webhook, upload_id)
        return attempts
