"""Migrations create the tables that the code uses, and can be undone."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from ingest.catalog.database import LATEST_REVISION, Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import metadata
from ingest.catalog.upgrade import MIGRATIONS
from ingest.ingest_errors import CatalogUnavailable
from proxy.model import new_upload_id

T = TypeVar("T")

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def empty(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    yield database
    await database.close()


async def ask(database: Database, question: Callable[[Connection], T]) -> T:
    async with database.transaction() as connection:
        return await connection.run_sync(question)


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def differences(connection: Connection) -> Any:
    return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


def constraints(connection: Connection) -> dict[str, Any]:
    """Constraints, which Alembic does not compare."""
    inspector = inspect(connection)
    return {
        table: (
            sorted((check["name"], check["sqltext"]) for check in inspector.get_check_constraints(table)),
            inspector.get_pk_constraint(table)["constrained_columns"],
            [
                (key["constrained_columns"], key["referred_table"], key["options"])
                for key in inspector.get_foreign_keys(table)
            ],
        )
        for table in metadata.tables
    }


async def test_migrated_tables_match_the_code(empty: Database) -> None:
    await empty.migrate()

    assert await ask(empty, differences) == []
    assert await ask(empty, tables) == {
        "alembic_version",
        "upload_jobs",
        "images",
        "installation",
        "owner_deletions",
        "spent_tickets",
        "webhooks",
    }


@pytest.mark.heavy
async def test_concurrent_migrations_take_turns(empty: Database) -> None:
    """Each migration reads before it writes. SQLite would reject all concurrent writers except the first."""
    others = [Database(empty.engine.url) for _ in range(3)]

    await asyncio.gather(*(database.migrate() for database in others))

    assert await ask(empty, differences) == []
    for other in others:
        await other.close()


async def test_database_opened_while_another_process_writes_to_the_new_file_waits_for_it(empty: Database) -> None:
    """SQLite then rejects the switch to WAL without its busy timeout."""
    assert empty.engine.url.database is not None
    with closing(sqlite3.connect(empty.engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(empty.revision())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.shield(opening)
        other.execute("COMMIT")

    assert await opening is None


async def test_latest_revision_is_the_last_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == LATEST_REVISION


async def test_constraints_match_the_code(empty: Database) -> None:
    await empty.migrate()
    migrated = await ask(empty, constraints)
    await empty.migrate("base")
    await ask(empty, metadata.create_all)

    assert migrated == await ask(empty, constraints)
    assert [name for name, _ in migrated["upload_jobs"][0]] == ["upload_jobs_progress", "upload_jobs_status"]
    assert migrated["images"][2] == [(["upload_id"], "upload_jobs", {"ondelete": "CASCADE"})]


async def test_downgrade_to_base_removes_all_tables(empty: Database) -> None:
    await empty.migrate()

    await empty.migrate("base")

    assert await ask(empty, tables) == {"alembic_version"}
    assert await ask(empty, lambda connection: connection.execute(text("SELECT * FROM alembic_version")).all()) == []


@pytest.mark.heavy
async def test_upgrade_after_downgrade_restores_all_tables(empty: Database) -> None:
    for revision in ("head", "base", "head"):
        await empty.migrate(revision)

    assert await ask(empty, differences) == []
    await empty.check()


async def test_uploads_of_revision_0001_are_kept_with_empty_new_columns(empty: Database) -> None:
    await empty.migrate("0001")
    upload_id = new_upload_id()
    moment = "'2025-11-02 12:00:00.000000'"
    job = f"INSERT INTO upload_jobs VALUES ('{UUID(upload_id).hex}', 'complete', 100, NULL, {moment}, {moment})"
    image = (
        f"INSERT INTO images VALUES ('{UUID(upload_id).hex}', 'png', 7, 300, 200, 'hash', '#7a6b5c', '{{}}', {moment})"
    )
    for statement in (job, image):
        await ask(empty, lambda connection, statement=statement: connection.execute(text(statement)))

    await empty.migrate()

    found, _ = await JobRepository(empty).find(upload_id)
    assert (found.width, found.private, found.alpha, found.animated) == (300, None, None, False)


async def test_second_upgrade_changes_nothing(database: Database) -> None:
    await database.migrate()

    assert await ask(database, differences) == []


async def test_unmigrated_database_fails_the_check(empty: Database) -> None:
    with pytest.raises(CatalogUnavailable, match=r"at revision none, not 0012_from_0007: run `darkroom migrate`"):
        await empty.check()


async def test_downgraded_database_fails_the_check(database: Database) -> None:
    await database.migrate("base")

    with pytest.raises(CatalogUnavailable, match="darkroom migrate"):
        await database.check()


async def test_migrated_database_passes_the_check(database: Database) -> None:
    await database.check()


async def set_revision(database: Database, revision: str) -> None:
    statement = text(f"UPDATE alembic_version SET version_num = '{revision}'")
    await ask(database, lambda connection: connection.execute(statement))


@pytest.mark.parametrize("revision", ["9999", "0013", "0014_from_0013", "0013_from_0013", "0013_from_0012_and_more"])
async def test_newer_database_that_does_not_name_this_version_is_refused(database: Database, revision: str) -> None:
    await set_revision(database, revision)

    for work in (database.check, database.migrate):
        with pytest.raises(CatalogUnavailable, match=f"at revision {revision}, made by a newer Darkroom"):
            await work()
    assert await database.revision() == revision


@pytest.mark.parametrize("revision", ["0013_from_0012", "0014_from_0012", "0015_from_0001"])
async def test_newer_database_that_names_this_version_is_used_unchanged(database: Database, revision: str) -> None:
    await set_revision(database, revision)

    await database.check()
    await database.migrate()

    assert await database.revision() == revision


async def test_older_database_is_never_usable(database: Database) -> None:
    await set_revision(database, "0006_from_0005")

    with pytest.raises(CatalogUnavailable, match="run `darkroom migrate`"):
        await database.check()


async def test_migration_names_include_the_oldest_compatible_revision() -> None:
    """docs/support.md: how to write one. A version that a migration excluded stays excluded."""
    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())[::-1]
    oldest = "0001"
    for script in scripts[7:]:  # the first seven, of before 0.2.0, are exempt
        match = re.fullmatch(r"(\d{4})_from_(\d{4})", script.revision)
        assert match, script.revision
        assert oldest <= match[2] < match[1]
        oldest = match[2]


async def test_failed_migration_rolls_back(empty: Database) -> None:
    await ask(empty, lambda connection: connection.execute(text("CREATE TABLE images (in_the_way INTEGER)")))
    with pytest.raises(CatalogUnavailable):
        await empty.migrate()
    assert await ask(empty, tables) <= {"images", "alembic_version"}
    await ask(empty, lambda connection: connection.execute(text("DROP TABLE images")))

    await empty.migrate()

    assert await ask(empty, differences) == []
