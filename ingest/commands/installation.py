"""The installation that the settings name, opened for one command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest.services import Ingest, compose_ingest
from proxy.settings import Settings


@asynccontextmanager
async def opened(settings: Settings, *, rendering: bool = False) -> AsyncIterator[Ingest]:
    """Its parts; with `rendering`, render processes are up. Raises CatalogUnavailable.

    The embedded database is brought up to date first: a command may be the first to come.
    """
    ingest = compose_ingest(settings)
    async with ingest.running() if rendering else ingest.connected():
        if settings.database_url is None:
            await ingest.database.migrate()
        yield ingest
