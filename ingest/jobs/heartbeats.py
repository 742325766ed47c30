"""Heartbeats of a running job: other processes take over one that has sent none for a while."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from ingest.ingest_errors import CatalogUnavailable
from ingest.records import HEARTBEAT, JobNotClaimable


@asynccontextmanager
async def sending_heartbeats(send: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Calls `send` every `HEARTBEAT` until the block ends, or `send` raises JobNotClaimable."""
    task = asyncio.create_task(_send_regularly(send))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _send_regularly(send: Callable[[], Awaitable[None]]) -> None:
    with suppress(JobNotClaimable):  # the run's next write to the job raises it, too
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            with suppress(CatalogUnavailable, TimeoutError):  # the run's own writes log an outage
                async with asyncio.timeout(HEARTBEAT.total_seconds()):  # a hanging one must not delay the next
                    await send()
