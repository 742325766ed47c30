"""A worker: passes jobs from the queue to the warm-up and runs the reconciler."""

import asyncio

import structlog

from ingest.ingest_errors import InstallationMismatch
from ingest.installation import Installation
from ingest.jobs.queue.warm_up_queue import WarmUpQueue
from ingest.jobs.reconciler import Reconciler
from ingest.jobs.warm_up import WarmUp
from proxy.errors import Unavailable

log = structlog.get_logger()

_VERIFY_SECONDS = 1.0  # between looks at an unavailable database or object store


class Worker:
    """Runs jobs until cancelled; running jobs are then finished or returned to the queue."""

    def __init__(self, queue: WarmUpQueue, warmup: WarmUp, reconciler: Reconciler, installation: Installation) -> None:
        self._queue = queue
        self._warmup = warmup
        self._reconciler = reconciler
        self._installation = installation

    async def run(self, concurrency: int = 1) -> None:
        """Runs jobs until cancelled. Waits until database and object store are reachable and known to belong together.

        Raises InstallationMismatch.
        """
        await self.verify_installation()
        reconciling = asyncio.create_task(self._reconciler.run())
        try:
            await self._queue.consume(self._warmup.run, concurrency)
        finally:
            reconciling.cancel()
            await asyncio.gather(reconciling, return_exceptions=True)

    async def verify_installation(self) -> None:
        """Waits until database and object store are verified. Raises InstallationMismatch."""
        while True:
            try:
                await self._installation.verify()
            except InstallationMismatch:
                raise
            except Unavailable as error:
                log.warning("worker waiting for database and object store", error=str(error))
                await asyncio.sleep(_VERIFY_SECONDS)
            else:
                return
