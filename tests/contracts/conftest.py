"""A migrated database in a file, made once and copied: to migrate each takes ten times as long."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.catalog.database import Database


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "catalog.db"

    async def migrate() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await database.migrate()
        await database.close()  # which leaves all of it in the one file

    asyncio.run(migrate())
    return path


@pytest.fixture
async def sqlite(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """Migrated and empty."""
    shutil.copy(migrated_file, tmp_path / "catalog.db")
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    yield database
    await database.close()
