"""The tables as the code uses them. Migrations create them, and a test compares both."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from typing_extensions import override

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite stores no zone, and only UTC is stored, so naive results are UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class SecondsAgo(FunctionElement[datetime]):
    """A time by the database's clock: the clocks of the servers may differ. `SecondsAgo(0)` is now.

    Negative seconds are in the future.
    """

    type = UtcDateTime()
    inherit_cache = True
    name = "seconds_ago"


@compiles(SecondsAgo, "postgresql")
def _on_postgres(element: SecondsAgo, compiler: SQLCompiler, **options: Any) -> str:
    return f"(clock_timestamp() - make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(SecondsAgo, "sqlite")
def _on_sqlite(element: SecondsAgo, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    # SQLite's clock has milliseconds. SQLAlchemy reads six digits.
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', (-{seconds}) || ' seconds') || '000')"


class EstimatedRows(FunctionElement[int]):
    """Estimates the number of uploads in nearly constant time.

    Postgres: as of the last analyze, so up to a tenth off. SQLite: exact, 20 ms for each million.
    """

    type = Integer()
    inherit_cache = True
    name = "estimated_rows"


@compiles(EstimatedRows, "postgresql")
def _estimated_on_postgres(_element: EstimatedRows, _compiler: SQLCompiler, **_options: Any) -> str:
    return "(SELECT reltuples::bigint FROM pg_class WHERE oid = 'upload_jobs'::regclass)"


@compiles(EstimatedRows, "sqlite")
def _counted_on_sqlite(_element: EstimatedRows, _compiler: SQLCompiler, **_options: Any) -> str:
    return "(SELECT count(*) FROM upload_jobs)"


upload_jobs = Table(
    "upload_jobs",
    metadata,
    Column("upload_id", Uuid(as_uuid=False), primary_key=True),
    Column("status", String(10), nullable=False),
    Column("progress", Integer, nullable=False, default=0),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("idempotency_key", String(64)),  # its digest
    Column("fingerprint", String(64)),  # SHA-256 of the file accepted with the key; NULL until then
    Column("request_id", String(64)),
    Column("traceparent", String(55)),
    Column("worker", String(32)),  # the run that processes the job; NULL otherwise
    Column("heartbeat_at", UtcDateTime),  # the last heartbeat of that run, or change of the job
    Column("attempts", Integer, nullable=False, server_default="0"),  # claims, without interrupted ones
    Column("retry_at", UtcDateTime),  # when the next attempt is due, if one has failed; NULL otherwise
    CheckConstraint("status IN ('pending', 'processing', 'complete', 'failed')", name="upload_jobs_status"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="upload_jobs_progress"),
    Index("upload_jobs_by_status", "status", "created_at"),
    Index("upload_jobs_by_key", "idempotency_key", unique=True),
)


def _partial_index(name: str, column: str) -> Index:
    """Returns an index of the uploads that have a value in `column`, by value, then in the order of the list."""
    where = text(f"{column} IS NOT NULL")
    return Index(name, column, "created_at", "upload_id", postgresql_where=where, sqlite_where=where)


images = Table(
    "images",
    metadata,
    Column("upload_id", Uuid(as_uuid=False), ForeignKey("upload_jobs.upload_id", ondelete="CASCADE"), primary_key=True),
    Column("format", String(4), nullable=False),
    Column("original_size", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("thumbhash", Text, nullable=False),
    Column("color", String(7), nullable=False),
    Column("variants", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("alpha", Boolean),  # NULL in rows of earlier versions
    Column("animated", Boolean),  # NULL in rows of earlier versions
    Column("focus", String(16)),
    Column("visibility", String(7), nullable=False, server_default="public"),
    Column("private", JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")),
    Column("sha256", String(64)),  # of the original, in hexadecimal; NULL in rows of earlier versions
    Column("owner", String(128)),
    Column("external_id", String(128)),
    Column("metadata", JSON(none_as_null=True)),  # not JSONB: names keep their order, nothing looks into it
    Index("images_newest", "created_at", "upload_id"),
    # These indexes leave out uploads without a value, so they cost nothing where applications set none.
    _partial_index("images_by_owner", "owner"),
    _partial_index("images_by_external_id", "external_id"),
)

spent_tickets = Table(
    "spent_tickets",  # digests of the tickets and imported sources of deleted uploads
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("spent_at", UtcDateTime, nullable=False),
    Index("spent_tickets_by_time", "spent_at"),
)

owner_deletions = Table(
    "owner_deletions",
    metadata,
    Column("deletion_id", Uuid(as_uuid=False), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("status", String(10), nullable=False),
    Column("total", Integer, nullable=False),
    Column("deleted", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("worker", String(32)),
)

webhooks = Table(
    "webhooks",  # that wait to be sent, or were given up; a delivered one has no row
    metadata,
    Column("webhook_id", Uuid(as_uuid=False), primary_key=True),
    Column("upload_id", Uuid(as_uuid=False), nullable=False),  # not a foreign key: image.deleted outlives the upload
    Column("type", String(20), nullable=False),
    Column("body", Text, nullable=False),
    Column("status", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    CheckConstraint("status IN ('pending', 'failed')", name="webhooks_status"),
    Index("webhooks_by_time", "status", "due_at"),
    Index("webhooks_by_upload", "upload_id"),
)

installation = Table(
    "installation",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),  # always 1: one row at most
    Column("id", Uuid(as_uuid=False), nullable=False),
    Column("bound", Boolean, nullable=False),
    CheckConstraint("slot = 1", name="installation_is_one"),
)
