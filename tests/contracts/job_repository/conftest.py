"""The catalogue, on every database that it runs on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from tests.postgres import PostgresServer


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture(scope="module")
def migrated(postgres_server: PostgresServer) -> str:
    """The name of a migrated Postgres database, to be copied: that is faster than to migrate each."""

    async def migrate(url: str) -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    url = postgres_server.create_database()
    asyncio.run(migrate(url))
    return url.rpartition("/")[2]


@pytest.fixture
async def postgresql(postgres: PostgresServer, migrated: str) -> AsyncIterator[Database]:
    database = Database(postgres.create_database(template=migrated))
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Migrated and empty."""
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest.fixture
def repository(database: Database) -> JobRepository:
    return JobRepository(database)
