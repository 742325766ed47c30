"""The repository on every supported database, each opened once for a module and emptied for each test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import metadata
from tests.newer_schema import expand
from tests.postgres import PostgresServer
from tests.waiting import GUARD


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgresql(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    postgres_server.resume()
    postgres_server.start()
    url = postgres_server.create_database()
    database = Database(url, deadline=GUARD)
    await database.migrate()
    yield database
    await database.close()
    postgres_server.drop_database(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sqlite(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    file = shutil.copy(migrated_file, tmp_path_factory.mktemp("sqlite"))
    database = Database(f"sqlite+aiosqlite:///{file}", deadline=GUARD)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def newer(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    """With tables of a newer version: this one's code works during a rolling upgrade, and after a roll-back."""
    file = shutil.copy(migrated_file, tmp_path_factory.mktemp("newer"))
    database = Database(f"sqlite+aiosqlite:///{file}", deadline=GUARD)
    await expand(database)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("newer", marks=pytest.mark.slow)])
def opened(request: pytest.FixtureRequest) -> Database:
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest_asyncio.fixture(loop_scope="module")
async def database(opened: Database) -> Database:
    """Migrated and empty."""
    async with opened.transaction() as connection:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(table.delete())
    return opened


@pytest.fixture
def repository(database: Database) -> JobRepository:
    return JobRepository(database)
