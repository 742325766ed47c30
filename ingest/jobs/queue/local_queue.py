"""The queue without Redis: polls the jobs table; an event wakes the workers of this process early."""

import asyncio

import structlog

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.deliver import deliver
from ingest.jobs.queue.warm_up_queue import Delivery, Handler
from ingest.records import STALLED_AFTER, JobStatus
from proxy.model import UploadId

log = structlog.get_logger()

_POLL_SECONDS = 5.0
_MAX_TAKEN = 64
"""Jobs that this process runs or will retry. Each pauses for 31 seconds in all before it fails."""


class LocalQueue:
    """Holds no jobs itself, so it loses none. It remembers the jobs that it runs or will retry, and counts attempts.

    `poll_seconds`: how soon it finds jobs that another process published or left unfinished.
    """

    def __init__(self, repository: JobRepository, *, poll_seconds: float = _POLL_SECONDS) -> None:
        self._repository = repository
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._taken: set[UploadId] = set()

    async def publish(self, upload_id: UploadId) -> None:  # noqa: ARG002 - the job is in the table already
        self._wake.set()

    async def failure_reason(self, upload_id: UploadId) -> str | None:  # noqa: ARG002 - part of the interface
        return None

    async def lengths(self) -> dict[str, int]:
        return {}

    async def consume(self, handle: Handler, concurrency: int) -> None:
        slots = asyncio.Semaphore(concurrency)

        async def attempt(delivery: Delivery) -> JobStatus | None:
            async with slots:  # not during the pauses between attempts
                try:
                    return await handle(delivery)
                except CatalogUnavailable as error:  # the other jobs would fail, too
                    log.warning("job not started, database unavailable", upload=delivery.upload_id, error=str(error))
                    await asyncio.sleep(self._poll_seconds)
                    return None

        async with asyncio.TaskGroup() as group:
            group.create_task(self._recover())
            while True:
                async with slots:  # a process without a free slot leaves the job to others
                    upload_id = await self._next()
                if upload_id is None:
                    await self._wait()
                else:
                    self._taken.add(upload_id)
                    group.create_task(self._deliver(attempt, upload_id))

    async def close(self) -> None:
        pass

    async def _deliver(self, attempt: Handler, upload_id: UploadId) -> None:
        try:
            await deliver(attempt, upload_id)
        except Exception:  # an unhandled error in one job must not stop the others
            log.exception("unhandled error in job", upload=upload_id)
            await asyncio.sleep(self._poll_seconds)
        finally:
            self._taken.remove(upload_id)
            self._wake.set()

    async def _next(self) -> UploadId | None:
        """Returns a pending job that this process has not taken, None if there is none or it has taken too many.

        Two processes may get the same job; only one can claim it.
        """
        self._wake.clear()
        if len(self._taken) >= _MAX_TAKEN:
            return None
        try:
            return await self._repository.next_pending(self._taken)
        except CatalogUnavailable as error:
            log.warning("job lookup failed", error=str(error))
            return None

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _recover(self) -> None:
        """Makes jobs of dead workers pending again, also while other jobs wait."""
        while True:
            try:
                if await self._repository.recover(STALLED_AFTER):
                    self._wake.set()
            except CatalogUnavailable as error:
                log.warning("recovery of stalled jobs failed", error=str(error))
            await asyncio.sleep(self._poll_seconds)
