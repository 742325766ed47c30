"""Bringing the database's tables to this version's."""

from ingest.catalog.database import Database
from proxy.settings import Settings


async def migrate(settings: Settings) -> dict[str, str | None]:
    """The revision before, and the one that this version needs."""
    database = Database.from_settings(settings)
    try:
        before = await database.revision()
        await database.migrate()
        return {"before": before, "after": await database.revision()}
    finally:
        await database.close()
