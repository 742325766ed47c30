"""Opening the database, and the one edge where its drivers' exceptions are translated."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import URL, Connection, event, func, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ingest.catalog.tables import UtcDateTime
from ingest.errors import CatalogUnavailable
from proxy.settings import Settings

log = structlog.get_logger()

LATEST_REVISION = "0003"
"""The one that this version needs: the last in `migrations/`. Alembic could tell, and takes 0.1 s to import."""

_BUSY_TIMEOUT = 5  # seconds that a SQLite writer waits for another
_MIGRATION_TIMEOUT = 600  # the same, while another brings the tables up to date
_DEADLINE = 6.0  # seconds


class Database:
    """Connections to one database. Every failure of it leaves here as CatalogUnavailable.

    `deadline`: seconds for a whole transaction: the wait for a connection, a look whether it lives, a new one.
    """

    def __init__(self, url: str | URL, *, deadline: float = _DEADLINE) -> None:
        self.engine = _create_engine(url, deadline=deadline)
        self._deadline = deadline

    @classmethod
    def from_settings(cls, settings: Settings) -> "Database":
        """Raises CatalogUnavailable where the embedded one has no folder to be in."""
        if settings.database_url:
            return cls(settings.database_url.get_secret_value())
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogUnavailable(
                f"{settings.data_dir} cannot be made ({error.strerror}): correct DATA_DIR."
            ) from error
        return cls(URL.create("sqlite+aiosqlite", database=str(settings.data_dir / "darkroom.db")))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Committed and durable when the block ends; rolled back if it raises, or takes too long."""
        with _translated():
            async with asyncio.timeout(self._deadline), self.engine.begin() as connection:
                yield connection

    async def migrate(self, revision: str = "head") -> None:
        """Brings the tables to `revision`; an empty database gets all of them. Of a large one it takes its time."""
        if revision == "head" and await self.revision() == LATEST_REVISION:
            return
        from ingest.catalog.upgrade import CommandError, upgrade

        engine = _create_engine(self.engine.url, migrating=True)
        try:
            with _translated(CommandError):
                async with engine.begin() as connection:
                    await connection.run_sync(upgrade, revision)
        finally:
            await engine.dispose()

    async def check(self) -> None:
        """Raises CatalogUnavailable, also where the tables are not those that this version needs."""
        current = await self.revision()
        if current != LATEST_REVISION:
            raise CatalogUnavailable(
                f"The database is at revision {current or 'none'}, not {LATEST_REVISION}: run `darkroom migrate`."
            )

    async def revision(self) -> str | None:
        """That of its tables; None where there are none yet."""
        async with self.transaction() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                return None
            return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()

    async def now(self) -> datetime:
        async with self.transaction() as connection:
            return await now(connection)

    async def close(self) -> None:
        await self.engine.dispose()


async def now(connection: AsyncConnection) -> datetime:
    """By the database's clock, which all machines share; in SQLite that is this machine's, in whole seconds."""
    return (await connection.execute(select(func.now(type_=UtcDateTime())))).scalar_one()


def migrations_after(revision: str | None) -> list[str] | None:
    """Those that are missing there, oldest first, in words; None for a revision that this version does not know."""
    if revision == LATEST_REVISION:
        return []
    from ingest.catalog.upgrade import migrations_between

    return migrations_between(revision, LATEST_REVISION)


@contextmanager
def _translated(*others: type[Exception]) -> Iterator[None]:
    failures: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, TimeoutError, *others)
    try:
        yield
    except failures as error:
        log.error("the database failed", cause=repr(error))
        raise CatalogUnavailable("The database does not answer as it should; the log says more.") from error


def _create_engine(url: str | URL, *, deadline: float = _DEADLINE, migrating: bool = False) -> AsyncEngine:
    """`migrating`: a statement takes as long as it takes, and who migrates at the same time waits for it to end."""
    if make_url(url).get_backend_name() != "sqlite":
        # Seconds to connect, and for one statement.
        patience = {"timeout": deadline / 2, "command_timeout": None if migrating else 10}
        # The level is what the statements are made for, which compare and set. A stricter one, set as the server's
        # default, would fail transactions that meet, among them those that take a refused upload back.
        return create_async_engine(
            url, isolation_level="READ COMMITTED", pool_pre_ping=True, pool_timeout=5, connect_args=patience
        )
    engine = create_async_engine(url, connect_args={"timeout": _MIGRATION_TIMEOUT if migrating else _BUSY_TIMEOUT})
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_writing if migrating else _begin)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Left to itself, Python's driver commits before each CREATE TABLE, so that a migration could break off half-way.
    connection.isolation_level = None
    connection.run_async(_switch_to_wal)
    cursor = connection.cursor()
    # In WAL mode the default would let a power cut take back commits that were acknowledged.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


async def _switch_to_wal(connection: Any) -> None:
    """Retries while SQLite is busy: when two processes open a new file at once, one is refused without any wait."""
    for attempts_left in reversed(range(500)):
        try:
            await (await connection.execute("PRAGMA journal_mode = WAL")).close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not attempts_left:
                raise
            await asyncio.sleep(_BUSY_TIMEOUT / 500)
        else:
            return


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    # What has read the tables before another changes them may not change them any more, and would fail at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
