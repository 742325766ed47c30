"""Idempotency keys in SQL. A key lives in its upload's row, so it ends with it, and nothing grows but the uploads.

Its age is told by the database: a machine whose clock is a day ahead would free the keys of all the others.
"""

from typing import Any

from sqlalchemy import Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ingest.catalog.database import now
from ingest.catalog.tables import images, upload_jobs
from ingest.errors import InProgress
from ingest.idempotency_key import LIFETIME, IdempotencyKey


async def begin(connection: AsyncConnection, key: IdempotencyKey, row: dict[str, Any]) -> None:
    """Inserts a job that has the key. Raises InProgress if another has it. Dead attempts and old uploads lose it."""
    moment = await now(connection)
    # Whether an attempt has ended is asked of its own row: a look at `images` would be from before a wait for its lock.
    dead = and_(upload_jobs.c.fingerprint.is_(None), upload_jobs.c.created_at < moment - key.patience)
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
    """The image's row and its `fingerprint`. Raises InProgress; None where the key is free, or will be by `begin`."""
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
        if row.begun_at < moment - key.patience:
            return None
        raise in_progress()
    return row


def in_progress() -> InProgress:
    return InProgress("An upload under this `Idempotency-Key` is just being taken. Send it again in a while.")
