"""Opening the database: durability, the check of its tables, and failures."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from ingest.catalog.database import Database, _switch_to_wal
from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import JobStatus
from proxy.model import new_upload_id
from proxy.settings import Settings
from tests.unit.ingest.examples import accepted

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{path}")
    try:
        yield database
    finally:
        await database.close()


async def value(database: Database, query: str) -> object:
    async with database.transaction() as connection:
        return (await connection.execute(text(query))).scalar()


class RejectingConnection:
    """Fails the first `failures` statements with SQLite's error `code`."""

    def __init__(self, failures: int, code: int) -> None:
        self._error = sqlite3.OperationalError("database is locked")
        self._error.sqlite_errorcode = code
        self._failures = failures
        self.statements: list[str] = []

    async def execute(self, statement: str) -> "RejectingConnection":
        self.statements.append(statement)
        if len(self.statements) <= self._failures:
            raise self._error
        return self

    async def close(self) -> None:
        pass


class TestSwitchToWal:
    async def test_busy_database_is_tried_again_without_log_lines(self, slept: list[float]) -> None:
        connection = RejectingConnection(3, sqlite3.SQLITE_BUSY)

        with capture_logs() as logs:
            await _switch_to_wal(connection)

        assert connection.statements == ["PRAGMA journal_mode = WAL"] * 4
        assert slept == [0.01] * 3
        assert logs == []

    async def test_busy_database_raises_after_five_seconds(self, slept: list[float]) -> None:
        with pytest.raises(sqlite3.OperationalError):
            await _switch_to_wal(RejectingConnection(1000, sqlite3.SQLITE_BUSY))

        assert sum(slept) == pytest.approx(5)

    async def test_other_errors_are_not_retried(self, slept: list[float]) -> None:
        with pytest.raises(sqlite3.OperationalError):
            await _switch_to_wal(RejectingConnection(1, sqlite3.SQLITE_READONLY))

        assert slept == []


def overwrite(folder: Path) -> None:
    for path in folder.glob("catalog.db*"):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))


async def assert_away(database: Database) -> None:
    """Every call raises CatalogUnavailable with a message without details."""
    repository = JobRepository(database)
    calls = (
        database.check(),
        database.migrate(),
        repository.begin(new_upload_id()),
        repository.accept(accepted()),
        repository.find(new_upload_id()),
        repository.newest(10),
        repository.count(),
        repository.next_pending(),
        repository.recover(),
        repository.delete(new_upload_id()),
        repository.advance(new_upload_id(), expect=JobStatus.PENDING, to=JobStatus.PROCESSING),
        repository.record(new_upload_id(), 0, {}),
    )
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in errors] == [CatalogUnavailable] * len(calls)
    assert {str(error) for error in errors} == {"The database failed or did not answer in time. See the log."}


class TestSqlite:
    @pytest.mark.parametrize(
        ("pragma", "expected"),
        [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5000)],
    )
    async def test_sqlite_is_durable(self, database: Database, pragma: str, expected: object) -> None:
        assert await value(database, f"PRAGMA {pragma}") == expected

    async def test_every_sqlite_connection_is_configured(self, database: Database) -> None:
        async with database.transaction(), database.transaction() as second:
            assert (await second.execute(text("PRAGMA synchronous"))).scalar() == 2
            assert (await second.execute(text("PRAGMA foreign_keys"))).scalar() == 1

    async def test_commits_are_visible_to_other_processes(self, database: Database, tmp_path: Path) -> None:
        upload_id = new_upload_id()
        await JobRepository(database).begin(upload_id)
        await JobRepository(database).accept(accepted(upload_id))

        async with opened(tmp_path / "catalog.db") as other:
            upload, _ = await JobRepository(other).find(upload_id)

        assert upload.upload_id == upload_id


class TestTransaction:
    async def test_exception_rolls_back(self, database: Database) -> None:
        insert = text(
            "INSERT INTO upload_jobs (upload_id, status, progress, created_at, updated_at) "
            "VALUES ('00', 'pending', 0, '2025-01-01', '2025-01-01')"
        )

        async def insert_and_fail() -> None:
            async with database.transaction() as connection:
                await connection.execute(insert)
                raise KeyError

        with pytest.raises(KeyError):
            await insert_and_fail()

        assert await value(database, "SELECT count(*) FROM upload_jobs") == 0

    async def test_driver_exception_is_the_cause(self, database: Database) -> None:
        with pytest.raises(CatalogUnavailable) as caught:
            await value(database, "SELECT * FROM no_such_table")

        assert "no_such_table" in repr(caught.value.__cause__)
        assert "no_such_table" not in str(caught.value)


class TestSettings:
    async def test_default_database_is_a_file_in_data_dir(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path / "not" / "there" / "yet")
        database = Database.from_settings(settings)
        await database.migrate()
        await database.close()

        assert (settings.data_dir / "darkroom.db").is_file()

    async def test_database_url_is_used(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path, database_url=f"sqlite+aiosqlite:///{tmp_path}/mine.db")
        database = Database.from_settings(settings)
        await database.migrate()
        await database.close()

        assert (tmp_path / "mine.db").is_file()
        assert not (tmp_path / "darkroom.db").exists()

    @pytest.mark.parametrize("name", ["photos?", "100% #1", "with space", "ü"])
    async def test_data_dir_may_have_special_characters(self, tmp_path: Path, name: str) -> None:
        settings = Settings(data_dir=tmp_path / name)
        database = Database.from_settings(settings)
        await database.migrate()
        await database.close()

        assert (settings.data_dir / "darkroom.db").is_file()


class TestAway:
    async def test_missing_folder_raises(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "missing" / "catalog.db") as database:
            await assert_away(database)

    async def test_folder_in_place_of_the_file_raises(self, tmp_path: Path) -> None:
        (tmp_path / "catalog.db").mkdir()

        async with opened(tmp_path / "catalog.db") as database:
            await assert_away(database)

    @pytest.mark.parametrize("content", [b"no database at all " * 1000, b"SQLite format 3\0" + bytes(4096)])
    async def test_file_of_another_type_raises(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "catalog.db").write_bytes(content)

        async with opened(tmp_path / "catalog.db") as database:
            await assert_away(database)

    async def test_corrupted_open_file_raises(self, database: Database, tmp_path: Path) -> None:
        repository = JobRepository(database)
        await repository.count()
        overwrite(tmp_path)

        await assert_away(database)

    async def test_database_works_once_its_folder_exists(self, tmp_path: Path) -> None:
        folder = tmp_path / "later"
        async with opened(folder / "catalog.db") as database:
            with pytest.raises(CatalogUnavailable):
                await database.check()
            folder.mkdir()
            await database.migrate()

            await database.check()


async def test_outage_is_logged_once_until_the_database_works_again(tmp_path: Path) -> None:
    (tmp_path / "darkroom.db").mkdir()
    async with opened(tmp_path / "darkroom.db") as database:
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(CatalogUnavailable):
                    await database.now()
            (tmp_path / "darkroom.db").rmdir()
            await database.now()
            with pytest.raises(CatalogUnavailable):
                await value(database, "SELECT nothing")

    assert [line["event"] for line in logs] == ["database error"] * 2
