"""Deletions of all uploads of an owner, in SQL: one row each, which one process at a time carries out."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from ingest.catalog.database import Database, now
from ingest.catalog.tables import SecondsAgo, images, owner_deletions
from ingest.records import STALLED_AFTER, JobNotClaimable, JobStatus, OwnerDeletion

RETENTION = timedelta(days=7)
"""The time for which an ended deletion is reported. Then its row is removed, because it names the owner."""
_ENDED = (JobStatus.COMPLETE, JobStatus.FAILED)


class OwnerDeletions:
    """Stores deletions by owner. Every method raises CatalogUnavailable if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, owner: str) -> OwnerDeletion:
        """Records a deletion of the owner's uploads that are older than this moment of the database's clock.

        Counting them reads the index by owner: 0.1 s for a million. Removes rows that are older than `RETENTION`.
        """
        async with self._database.transaction() as connection:
            old = owner_deletions.c.updated_at < SecondsAgo(RETENTION.total_seconds())
            await connection.execute(delete(owner_deletions).where(owner_deletions.c.status.in_(_ENDED), old))
            moment = await now(connection)
            query = select(func.count()).where(images.c.owner == owner, images.c.created_at < moment)
            total = (await connection.execute(query)).scalar_one()
            values = {"deletion_id": str(uuid4()), "owner": owner, "status": JobStatus.PENDING, "total": total}
            values |= dict.fromkeys(("deleted", "failed"), 0)
            values |= dict.fromkeys(("created_at", "updated_at", "heartbeat_at"), moment)
            row = (await connection.execute(insert(owner_deletions).values(values).returning(owner_deletions))).one()
        return _to_deletion(row)

    async def find(self, deletion_id: str) -> OwnerDeletion | None:
        """Returns the deletion; None if this id is unknown, or its row was removed after `RETENTION`."""
        query = select(owner_deletions).where(owner_deletions.c.deletion_id == deletion_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _to_deletion(row)

    async def claim(self, worker: str) -> OwnerDeletion | None:
        """Claims the oldest deletion that is pending or whose worker died, for `worker` alone. Returns it, or None."""
        silent = owner_deletions.c.heartbeat_at <= SecondsAgo(STALLED_AFTER.total_seconds())
        is_free = or_(
            owner_deletions.c.status == JobStatus.PENDING,
            and_(owner_deletions.c.status == JobStatus.PROCESSING, silent),
        )
        query = select(owner_deletions.c.deletion_id).where(is_free).order_by(owner_deletions.c.created_at).limit(1)
        async with self._database.transaction() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        if found is None:
            return None
        # The condition is checked again, so that only one of two workers gets the deletion. Failures are counted from
        # 0, because the uploads are listed from the start.
        values = {"status": JobStatus.PROCESSING, "worker": worker, "failed": 0} | _touched()
        claim = update(owner_deletions).where(owner_deletions.c.deletion_id == found, is_free).values(values)
        async with self._database.transaction() as connection:
            row = (await connection.execute(claim.returning(owner_deletions))).first()
        return None if row is None else _to_deletion(row)

    async def record(self, deletion: OwnerDeletion, **values: Any) -> None:
        """Sets columns and records a heartbeat. Raises JobNotClaimable if its worker no longer holds the deletion."""
        held = and_(
            owner_deletions.c.deletion_id == deletion.deletion_id,
            owner_deletions.c.status == JobStatus.PROCESSING,
            owner_deletions.c.worker == deletion.worker,
        )
        async with self._database.transaction() as connection:
            done = await connection.execute(update(owner_deletions).where(held).values(values | _touched()))
            if done.rowcount == 0:
                raise JobNotClaimable(deletion.deletion_id)


def _touched() -> dict[str, Any]:
    return dict.fromkeys(("updated_at", "heartbeat_at"), SecondsAgo(0))


def _to_deletion(row: Row[Any]) -> OwnerDeletion:
    return OwnerDeletion(
        str(row.deletion_id),
        row.owner,
        JobStatus(row.status),
        row.total,
        row.deleted,
        row.failed,
        row.error,
        row.created_at,
        row.updated_at,
        row.worker,
    )
