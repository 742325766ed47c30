"""The installation that the settings name, opened for one command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest.services import IngestServices, build_ingest_services
from proxy.settings import Settings


@asynccontextmanager
async def opened(settings: Settings, *, rendering: bool = False) -> AsyncIterator[IngestServices]:
    """Its parts; with `rendering`, render processes are up. Raises CatalogUnavailable.

    The embedded database is brought up to date first: a command may be the first to come.
    """
    ingest = build_ingest_services(settings)
    async with ingest.running() if rendering else ingest.connected():
        if settings.database_url is None:
            await ingest.database.migrate()
        yield ingest
