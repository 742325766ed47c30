"""The repository on every supported database."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import metadata
from tests.newer_schema import expand
from tests.postgres import PostgresServer
from tests.waiting import GUARD


@pytest.fixture(scope="module")
def migrated(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a module's database. Emptying it is faster than creating another."""

    async def migrate() -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    url = postgres_server.create_database()
    asyncio.run(migrate())
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
async def postgresql(migrated: str) -> AsyncIterator[Database]:
    database = Database(migrated, deadline=GUARD)
    async with database.transaction() as connection:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(table.delete())
    yield database
    await database.close()


@pytest.fixture
async def newer(sqlite: Database) -> Database:
    """With tables of a newer version: this one's code works during a rolling upgrade, and after a roll-back."""
    await expand(sqlite)
    return sqlite


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("newer", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> Database:
    """Migrated and empty."""
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest.fixture
def repository(database: Database) -> JobRepository:
    return JobRepository(database)
