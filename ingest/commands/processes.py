"""What servers do before they start, and what a worker does until it is stopped."""

import asyncio
from contextlib import nullcontext, suppress
from signal import SIGINT, SIGTERM

import structlog

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.commands.installation import opened
from ingest.web.readiness import answering
from proxy.settings import Settings

log = structlog.get_logger()


async def prepare_embedded(settings: Settings) -> None:
    """Brings the embedded database up to date, and its jobs back that a stopped server had in hand."""
    database = Database.from_settings(settings)
    try:
        await database.migrate()
        await JobRepository(database).recover()
    finally:
        await database.close()


async def work(settings: Settings, concurrency: int, address: tuple[str, int] | None = None) -> None:
    """A worker, until SIGTERM or SIGINT; jobs in hand are finished or handed back. `address`: for its health."""
    task = asyncio.current_task()
    assert task is not None
    for signal in (SIGTERM, SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal, task.cancel)
    with suppress(asyncio.CancelledError):  # also where it comes while the worker starts
        async with (
            opened(settings, rendering=True) as ingest,
            answering(ingest, *address) if address else nullcontext(),
        ):
            log.info("worker started", concurrency=concurrency, queue="BullMQ" if settings.redis_url else "database")
            await ingest.worker.run(concurrency)
