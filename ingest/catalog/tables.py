"""The two tables as the code uses them. Migrations create them, and a test compares both."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
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
)
from sqlalchemy.dialects.postgresql import JSONB
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
    CheckConstraint("status IN ('pending', 'processing', 'complete', 'failed')", name="upload_jobs_status"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="upload_jobs_progress"),
    Index("upload_jobs_by_status", "status", "created_at"),
    Index("upload_jobs_by_key", "idempotency_key", unique=True),
)

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
    Column("private", JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")),
    Index("images_newest", "created_at", "upload_id"),
)
