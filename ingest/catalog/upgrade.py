"""Runs migrations with Alembic. Imported only when needed, because importing Alembic takes 0.1 s."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection

__all__ = ["MIGRATIONS", "CommandError", "migrations_between", "upgrade"]

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6461726B726F6F6D  # "darkroom"


def upgrade(connection: Connection, revision: str) -> None:
    """Migrates the tables to `revision` in the transaction of `connection`. Raises CommandError or SQLAlchemyError."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    if connection.dialect.name == "postgresql":  # servers that start at the same time take turns
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def migrations_between(revision: str | None, latest: str) -> list[str] | None:
    """Describes migrations after `revision` (None: all) up to `latest`, oldest first. None: `revision` is unknown."""
    try:
        missing = ScriptDirectory(str(MIGRATIONS)).iterate_revisions(latest, revision or "base")
        return [f"{script.revision} ({script.doc.rstrip('.')})" for script in missing][::-1]
    except RevisionError:
        return None
