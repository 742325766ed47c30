"""Databases that several suites run against."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.catalog.database import Database
from tests.waiting import GUARD


@pytest.fixture
async def sqlite(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """Migrated and empty."""
    shutil.copy(migrated_file, tmp_path / "catalog.db")
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}", deadline=GUARD)
    yield database
    await database.close()
