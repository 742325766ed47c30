"""The database check names missing migrations and the command that applies them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from ingest.catalog.database import Database
from ingest.maintenance.doctor.database_checks import tables
from ingest.maintenance.doctor.findings import Verdict, ok

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def empty(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    yield database
    await database.close()


async def test_current_revision_is_ok(empty: Database) -> None:
    await empty.migrate()

    assert await tables(empty, embedded=False) == ok("answers; up to date at revision 0012_from_0007")


async def test_missing_migrations_fail_with_migrate_command(empty: Database) -> None:
    judged = await tables(empty, embedded=False)

    assert judged.verdict is Verdict.FAILED
    assert "at revision none and lacks 0001 (Upload jobs and images)" in judged.remark
    assert judged.remark.endswith("run `darkroom migrate`.")


async def test_embedded_database_with_missing_migrations_warns(empty: Database) -> None:
    judged = await tables(empty, embedded=True)

    assert judged.verdict is Verdict.WARNING
    assert "0001" in judged.remark
    assert "darkroom serve" in judged.remark


@pytest.mark.parametrize("embedded", [True, False])
async def test_unknown_revision_fails_and_asks_for_newer_version(empty: Database, embedded: bool) -> None:
    await empty.migrate()
    async with empty.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    judged = await tables(empty, embedded=embedded)

    assert judged.verdict is Verdict.FAILED
    assert "revision 9999" in judged.remark
    assert "newer Darkroom" in judged.remark
