"""Opens the database and translates its drivers' exceptions. No other module sees them."""

import asyncio
import re
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from itertools import repeat
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import URL, Connection, event, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ingest.catalog.tables import SecondsAgo
from ingest.ingest_errors import CatalogUnavailable
from proxy.retries import Attempts
from proxy.settings import Settings, parse_database_url
from proxy.storage.files import why_not_writable

log = structlog.get_logger()

LATEST_REVISION = "0012_from_0007"
"""The newest revision in `migrations/`, whose tables this version needs. A constant: importing Alembic takes 0.1 s.

From 0008 on, a revision's name ends with the oldest revision whose code works with its tables. From the name
`0009_from_0007`, a server of revision 0007 knows that it can use these tables.
"""
_NUMBERED = re.compile(r"(\d{4})_from_(\d{4})")

_BUSY_TIMEOUT = 5  # seconds that a SQLite writer waits for another writer
_MIGRATION_TIMEOUT = 600  # seconds that a SQLite writer waits while another process migrates
_DEADLINE = 6.0  # seconds for one transaction
_LOGIN_FAILURES = ("28", "3D000", "08P01")  # SQLSTATE: bad login, unknown database; PgBouncer's code for both


class Database:
    """Connections to one database. Every failure is raised as CatalogUnavailable.

    `deadline`: seconds for a whole transaction, including waiting for a connection, testing it and reconnecting.
    """

    def __init__(self, url: str | URL, *, deadline: float = _DEADLINE) -> None:
        self.engine = _create_engine(url, deadline=deadline)
        self._deadline = deadline
        self._logged: str | None = None  # the error since the last success

    @classmethod
    def from_settings(cls, settings: Settings) -> "Database":
        """Returns the configured database. Raises CatalogUnavailable if the embedded one's folder is not writable."""
        if settings.database_url:
            return cls(URL.create(**parse_database_url(settings.database_url.get_secret_value())))
        if reason := why_not_writable(settings.data_dir):
            raise CatalogUnavailable(reason)
        return cls(URL.create("sqlite+aiosqlite", database=str(settings.data_dir / "darkroom.db")))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Commits durably when the block ends. Rolls back if it raises or passes the deadline."""
        with self._translated():
            async with asyncio.timeout(self._deadline), self.engine.begin() as connection:
                yield connection

    async def migrate(self, revision: str = "head") -> None:
        """Migrates the tables to `revision`. Has no deadline, because a large database takes long.

        Leaves the tables of a newer version unchanged; raises CatalogUnavailable if this version cannot use them.
        """
        if revision == "head":
            current = await self.revision()
            if is_newer(current):
                _raise_unless_usable(current)
            if is_usable(current):
                return
        from ingest.catalog.upgrade import CommandError, upgrade

        engine = _create_engine(self.engine.url, migrating=True)
        try:
            with self._translated(CommandError):
                async with engine.begin() as connection:
                    await connection.run_sync(upgrade, revision)
        finally:
            await engine.dispose()

    async def check(self) -> None:
        """Raises CatalogUnavailable if the database does not answer or this version cannot use its tables."""
        _raise_unless_usable(await self.revision())

    async def revision(self) -> str | None:
        """Returns the revision of the tables, None for an empty database."""
        async with self.transaction() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                return None
            return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()

    async def now(self) -> datetime:
        """Returns the time of the database's clock. Raises CatalogUnavailable."""
        async with self.transaction() as connection:
            return await now(connection)

    async def close(self) -> None:
        await self.engine.dispose()

    @contextmanager
    def _translated(self, *others: type[Exception]) -> Iterator[None]:
        """Logs an error once, until a call succeeds or the error changes: during an outage, every call has the same."""
        failures: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, TimeoutError, *others)
        try:
            yield
            self._logged = None
        except failures as error:
            if self._logged != (text := repr(error)):
                self._logged = text
                log.error("database error", error=text)
            raise CatalogUnavailable(_explain(error)) from error


async def now(connection: AsyncConnection) -> datetime:
    """Returns the time of the database's clock, which all machines share. SQLite: this machine's."""
    moment: datetime = (await connection.execute(select(SecondsAgo(0)))).scalar_one()
    return moment


def is_usable(revision: str | None) -> bool:
    """Whether this version works with the tables of `revision`: its own, or a newer one that names it as compatible."""
    if revision == LATEST_REVISION:
        return True
    newer = _NUMBERED.fullmatch(revision or "")
    return newer is not None and newer[1] > _number(LATEST_REVISION) >= newer[2]


def is_newer(revision: str | None) -> bool:
    """Whether `revision` is newer than this version's own."""
    return revision is not None and _number(revision) > _number(LATEST_REVISION)


def _number(revision: str) -> str:
    return revision.partition("_")[0]


def _raise_unless_usable(revision: str | None) -> None:
    if is_usable(revision):
        return
    if is_newer(revision):
        raise CatalogUnavailable(
            f"The database is at revision {revision}, made by a newer Darkroom, and this version needs "
            f"{LATEST_REVISION}: run the newer version, or restore the backup of before its migration."
        )
    raise CatalogUnavailable(
        f"The database is at revision {revision or 'none'}, not {LATEST_REVISION}: run `darkroom migrate`."
    )


def migrations_after(revision: str | None) -> list[str] | None:
    """Describes the migrations after `revision`, oldest first. Returns None for an unknown revision."""
    if revision == LATEST_REVISION:
        return []
    from ingest.catalog.upgrade import migrations_between

    return migrations_between(revision, LATEST_REVISION)


def _explain(error: Exception) -> str:
    """Returns a sentence about `error` that tells the operator what to do.

    The sentence leaves out the driver's own message, which may name hosts and users, because clients get this sentence
    too.
    """
    if isinstance(error, DBAPIError) and str(getattr(error.orig, "sqlstate", "")).startswith(_LOGIN_FAILURES):
        return "The database refuses this user, password or database name. Correct DATABASE_URL."
    if isinstance(error, ssl.SSLCertVerificationError):
        return "The database's certificate was not accepted. Check the host in DATABASE_URL and its sslrootcert."
    if type(error) is ConnectionError:  # asyncpg raises this class itself if the server has no TLS
        return "The database does not offer TLS. Turn it on there, or correct sslmode in DATABASE_URL."
    if isinstance(error, ConnectionRefusedError | socket.gaierror):
        return "The database cannot be reached. Check that it runs, and host and port in DATABASE_URL."
    return "The database failed or did not answer in time. See the log."


def _create_engine(url: str | URL, *, deadline: float = _DEADLINE, migrating: bool = False) -> AsyncEngine:
    """Creates an engine. `migrating`: statements have no time limit, and concurrent migrations wait for each other."""
    url = make_url(url)
    if url.get_backend_name() != "sqlite":
        options = {
            # Seconds to connect. Without a value, or with 0 (no limit, in libpq), half of the deadline.
            "timeout": float(str(url.query.get("timeout", 0))) or deadline / 2,
            "command_timeout": None if migrating else 10,  # seconds for one statement
            # A pooler such as PgBouncer may run each transaction on another server connection, which lacks the
            # statements that were prepared before and may have others of the same name. So statements are not cached,
            # and their names are unique. This costs 0.5 ms a query.
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"darkroom_{uuid4().hex}",
        }
        # The compare-and-set statements are written for this level. A stricter server default would fail concurrent
        # transactions, among them those that undo a refused upload.
        return create_async_engine(
            url, isolation_level="READ COMMITTED", pool_pre_ping=True, pool_timeout=5, connect_args=options
        )
    engine = create_async_engine(url, connect_args={"timeout": _MIGRATION_TIMEOUT if migrating else _BUSY_TIMEOUT})
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_writing if migrating else _begin)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # By default Python's driver commits before each CREATE TABLE, so a failed migration would stay half done.
    connection.isolation_level = None
    connection.run_async(_switch_to_wal)
    cursor = connection.cursor()
    # With WAL's default, a power cut could lose acknowledged commits.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


async def _switch_to_wal(connection: Any) -> None:
    """Retries while SQLite is busy: when two processes open a new file at once, SQLite rejects one without waiting."""
    async for retry_in in Attempts(repeat(_BUSY_TIMEOUT / 500, 500)):
        try:
            await (await connection.execute("PRAGMA journal_mode = WAL")).close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or retry_in is None:
                raise
        else:
            return


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    # A transaction that begins with a read fails when it writes, if another one has changed the tables meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
