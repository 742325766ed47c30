"""Helpers that upload with an idempotency key, and let time pass for keys."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import spent_tickets, upload_jobs
from ingest.idempotency_key import IdempotencyKey, ticket_key
from proxy.model import UploadId, new_upload_id
from tests.contracts.uploads import upload_of

KEY = IdempotencyKey("a" * 64, timedelta(minutes=2))
PRINT = "f" * 64


def now() -> datetime:
    return datetime.now(UTC)


async def taken(repository: JobRepository, key: IdempotencyKey = KEY, created_at: datetime | None = None) -> UploadId:
    upload_id = new_upload_id()
    await repository.begin(upload_id, key)
    await repository.accept(upload_of(upload_id, created_at or now()), PRINT)
    return upload_id


async def begun_before(database: Database, upload_id: UploadId, age: timedelta) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            update(upload_jobs).where(upload_jobs.c.upload_id == upload_id).values(created_at=now() - age)
        )


async def spent_before(database: Database, age: timedelta) -> None:
    async with database.transaction() as connection:
        await connection.execute(update(spent_tickets).values(spent_at=now() - age))


async def delete_another_ticket(repository: JobRepository) -> None:
    await repository.delete(await taken(repository, ticket_key("another", timedelta(minutes=2))))


async def keys(database: Database) -> dict[UploadId, str | None]:
    async with database.transaction() as connection:
        rows = await connection.execute(select(upload_jobs.c.upload_id, upload_jobs.c.idempotency_key))
        return {UploadId(row.upload_id): row.idempotency_key for row in rows}
