"""Idempotency keys in SQL. A key is a column of its upload's row, so deleting the upload frees the key.

Ages are measured by the database's clock: a machine whose clock is a day ahead would expire every key.
"""

from typing import Any

from sqlalchemy import Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ingest.catalog.database import now
from ingest.catalog.tables import images, upload_jobs
from ingest.idempotency_key import LIFETIME, IdempotencyKey
from ingest.ingest_errors import InProgress


async def begin(connection: AsyncConnection, key: IdempotencyKey, row: dict[str, Any]) -> None:
    """Inserts a job row with the key. Raises InProgress if the key is taken.

    A key whose upload died, or that has expired, is taken from that upload first.
    """
    moment = row["created_at"]
    # `fingerprint` tells whether an attempt has ended. A read of `images` would predate the wait for the row's lock.
    dead = and_(upload_jobs.c.fingerprint.is_(None), upload_jobs.c.created_at < moment - key.attempt_timeout)
    old = upload_jobs.c.created_at < moment - LIFETIME
    await connection.execute(
        update(upload_jobs)
        .where(upload_jobs.c.idempotency_key == key.digest, or_(dead, old))
        .values(idempotency_key=None)
    )
    try:
        await connection.execute(insert(upload_jobs).values(row | {"idempotency_key": key.digest}))
    except IntegrityError as error:
        raise in_progress() from error


async def find(connection: AsyncConnection, key: IdempotencyKey) -> Row[Any] | None:
    """Returns the upload's row with its `fingerprint`, None if the key is free. Raises InProgress."""
    moment = await now(connection)
    columns = upload_jobs.c.fingerprint, upload_jobs.c.created_at.label("begun_at")
    query = (
        select(images, *columns)
        .outerjoin_from(upload_jobs, images, upload_jobs.c.upload_id == images.c.upload_id)
        .where(upload_jobs.c.idempotency_key == key.digest)
    )
    row = (await connection.execute(query)).first()
    if row is None or row.begun_at < moment - LIFETIME:
        return None
    if row.fingerprint is None:
        if row.begun_at < moment - key.attempt_timeout:
            return None
        raise in_progress()
    return row


def in_progress() -> InProgress:
    return InProgress("An upload with this `Idempotency-Key` or ticket is in progress. Send it again later.")
