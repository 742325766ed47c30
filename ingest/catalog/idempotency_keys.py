"""Idempotency keys in SQL. A key is a column of its upload's job row, so deleting the upload frees the key.

Two kinds of keys stay after a deletion, in the table `spent_tickets`. The key of a ticket stays until the ticket has
expired, because a ticket allows one upload. The key of an imported source stays until `revive`, because a repeated
import must not restore a deleted upload.

Ages are measured by the database's clock. By its own clock, a machine that is a day ahead would expire every key.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ingest.catalog.database import now
from ingest.catalog.tables import SecondsAgo, images, spent_tickets, upload_jobs
from ingest.idempotency_key import FOREVER, TICKET_LIFETIME, IdempotencyKey, is_source_digest, is_ticket_digest
from ingest.ingest_errors import InProgress, KeyReused


async def begin(connection: AsyncConnection, key: IdempotencyKey, row: dict[str, Any]) -> None:
    """Inserts a job row with the key. Raises InProgress if another upload has the key.

    A key that has expired, or whose upload was never completed, is taken from that upload first. Raises KeyReused for a
    ticket or source whose upload was deleted.
    """
    moment = row["created_at"]
    # `fingerprint` is NULL until an upload is accepted. Reading `images` instead would miss an upload that is accepted
    # while this statement waits for the row's lock.
    dead = and_(upload_jobs.c.fingerprint.is_(None), upload_jobs.c.created_at < moment - key.attempt_timeout)
    old = upload_jobs.c.created_at < moment - key.lifetime
    await connection.execute(
        update(upload_jobs)
        .where(upload_jobs.c.idempotency_key == key.digest, or_(dead, old))
        .values(idempotency_key=None)
    )
    try:
        await connection.execute(insert(upload_jobs).values(row | {"idempotency_key": key.digest}))
    except IntegrityError as error:
        raise in_progress() from error
    # After the writes: in SQLite, a transaction that has read cannot write once another one has.
    await refuse_spent(connection, key)


async def find(connection: AsyncConnection, key: IdempotencyKey) -> Row[Any] | None:
    """Returns the upload's row with its `fingerprint`, None if the key is free.

    Raises InProgress while the upload is in progress, KeyReused for a ticket or source whose upload was deleted.
    """
    await refuse_spent(connection, key)
    moment = await now(connection)
    columns = upload_jobs.c.fingerprint, upload_jobs.c.created_at.label("begun_at")
    query = (
        select(images, *columns)
        .outerjoin_from(upload_jobs, images, upload_jobs.c.upload_id == images.c.upload_id)
        .where(upload_jobs.c.idempotency_key == key.digest)
    )
    row = (await connection.execute(query)).first()
    if row is None or row.begun_at < moment - key.lifetime:
        return None
    if row.fingerprint is None:
        if row.begun_at < moment - key.attempt_timeout:
            return None
        raise in_progress()
    return row


async def find_accepted(connection: AsyncConnection, digests: Collection[str]) -> Sequence[Row[Any]]:
    """Returns the rows of accepted uploads with these keys, with `idempotency_key` and `fingerprint`."""
    columns = upload_jobs.c.idempotency_key, upload_jobs.c.fingerprint
    query = (
        select(images, *columns)
        .join_from(upload_jobs, images, upload_jobs.c.upload_id == images.c.upload_id)
        .where(upload_jobs.c.idempotency_key.in_(digests))
    )
    return (await connection.execute(query)).all()


async def keep_spent(connection: AsyncConnection, digest: str) -> None:
    """Stores the digest of a deleted upload's ticket or source. Removes the digests of expired tickets."""
    if is_ticket_digest(digest):
        old = spent_tickets.c.spent_at < SecondsAgo(TICKET_LIFETIME.total_seconds())
        await connection.execute(delete(spent_tickets).where(old))
    if _is_kept(digest):
        # Sources get a time in the far future, so that the clean-up of tickets does not find them in the index.
        ahead = 0 if is_ticket_digest(digest) else FOREVER.total_seconds()
        await connection.execute(insert(spent_tickets).values(digest=digest, spent_at=SecondsAgo(-ahead)))


async def revive(connection: AsyncConnection, digest: str) -> None:
    """Forgets that the upload of an imported source was deleted, because the source now has a new upload."""
    await connection.execute(delete(spent_tickets).where(spent_tickets.c.digest == digest))


async def refuse_spent(connection: AsyncConnection, key: IdempotencyKey) -> None:
    """Raises KeyReused for a ticket or source whose upload was deleted."""
    if key.again or not _is_kept(key.digest):
        return
    spent = select(spent_tickets.c.digest).where(spent_tickets.c.digest == key.digest)
    if (await connection.execute(spent)).first():
        advice = " Use a new one for each image." if is_ticket_digest(key.digest) else ""
        raise KeyReused(f"This {key.label} was used for an upload that was deleted.{advice}")


def _is_kept(digest: str) -> bool:
    return is_ticket_digest(digest) or is_source_digest(digest)


def in_progress() -> InProgress:
    return InProgress("An upload with this `Idempotency-Key` or ticket is in progress. Send it again later.")
