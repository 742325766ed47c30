"""Takes jobs from the queue, one after another."""

import asyncio

import structlog

from ingest.queue.base import WarmupQueue
from ingest.warmup import WarmUp
from proxy.errors import CatalogUnavailable

log = structlog.get_logger()

_PAUSE = 1  # seconds after the database failed, so as not to ask it a thousand times


class Worker:
    """Runs until it is cancelled; the job in hand is then handed back."""

    def __init__(self, queue: WarmupQueue, warmup: WarmUp) -> None:
        self._queue = queue
        self._warmup = warmup

    async def run(self) -> None:
        async for upload_id in self._queue.take():
            try:
                status = await self._warmup.run(upload_id)
            except CatalogUnavailable as error:
                log.warning("cannot begin a job", upload=upload_id, error=str(error))
                await asyncio.sleep(_PAUSE)
            else:
                log.info("warm-up ended", upload=upload_id, status=status)
