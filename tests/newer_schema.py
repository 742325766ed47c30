"""The tables of a newer version: this version's after one more migration, which only adds to them."""

from sqlalchemy import text

from ingest.catalog.database import LATEST_REVISION, Database

REVISION = f"{int(LATEST_REVISION[:4]) + 1:04}_from_{LATEST_REVISION[:4]}"
EXPAND = (
    "ALTER TABLE upload_jobs ADD COLUMN added VARCHAR(128)",
    "ALTER TABLE images ADD COLUMN added VARCHAR(7) NOT NULL DEFAULT 'public'",
    "CREATE TABLE added (upload_id VARCHAR(36) PRIMARY KEY, attempts INTEGER NOT NULL)",
    "CREATE INDEX added_by_added ON upload_jobs (added, created_at)",
    f"UPDATE alembic_version SET version_num = '{REVISION}'",
)


async def expand(database: Database) -> None:
    async with database.transaction() as connection:
        for statement in EXPAND:
            await connection.execute(text(statement))
