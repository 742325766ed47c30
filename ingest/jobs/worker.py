"""A worker: passes jobs from the queue to the warm-up and runs the reconciler."""

import asyncio

from ingest.jobs.queue.warm_up_queue import WarmUpQueue
from ingest.jobs.reconciler import Reconciler
from ingest.jobs.warm_up import WarmUp


class Worker:
    """Runs jobs until cancelled; running jobs are then finished or handed back."""

    def __init__(self, queue: WarmUpQueue, warmup: WarmUp, reconciler: Reconciler) -> None:
        self._queue = queue
        self._warmup = warmup
        self._reconciler = reconciler

    async def run(self, concurrency: int = 1) -> None:
        reconciling = asyncio.create_task(self._reconciler.run())
        try:
            await self._queue.consume(self._warmup.run, concurrency)
        finally:
            reconciling.cancel()
            await asyncio.gather(reconciling, return_exceptions=True)
