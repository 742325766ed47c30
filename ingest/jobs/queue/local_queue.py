"""The queue without Redis: polls the jobs table; an event wakes the workers of this process early."""

import asyncio
from contextlib import suppress

import structlog

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.deliver import log_retry
from ingest.jobs.queue.warm_up_queue import Delivery, Handler, TryAgain
from ingest.records import STALLED_AFTER
from proxy.errors import UnknownUpload
from proxy.model import UploadId

log = structlog.get_logger()

_POLL_SECONDS = 5.0
_MAX_TAKEN = 64
"""The most jobs that a process holds: those that it runs, and those that it avoids for seconds after an error."""


class LocalQueue:
    """Reads jobs from the database, which also has their attempts and the time of the next one. So it loses none.

    `poll_seconds`: the time after which it finds jobs that another process published or left unfinished.
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
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recover())
            while True:
                await slots.acquire()  # a process without a free slot leaves the job to others
                upload_id = await self._next()
                if upload_id is None:
                    slots.release()
                    await self._wait()
                else:
                    self._taken.add(upload_id)
                    group.create_task(self._deliver(handle, upload_id, slots))

    async def close(self) -> None:
        pass

    async def _deliver(self, handle: Handler, upload_id: UploadId, slots: asyncio.Semaphore) -> None:
        try:
            try:
                await self._attempt(handle, upload_id)
            finally:
                slots.release()
        except Exception:  # an unhandled error in one job must not stop the others
            log.exception("unhandled error outside the warm-up, job left to a later poll", upload=upload_id)
            await asyncio.sleep(self._poll_seconds)
        finally:
            self._taken.remove(upload_id)
            self._wake.set()

    async def _attempt(self, handle: Handler, upload_id: UploadId) -> None:
        try:
            with suppress(UnknownUpload):  # deleted meanwhile
                await handle(Delivery(upload_id))
        except TryAgain as error:
            log_retry(upload_id, error)
            asyncio.get_running_loop().call_later(error.seconds, self._wake.set)
        except CatalogUnavailable as error:  # the other jobs would fail, too
            log.warning("job not started, database unavailable", upload=upload_id, error=str(error))
            await asyncio.sleep(self._poll_seconds)

    async def _next(self) -> UploadId | None:
        """Returns a pending job that this process has not taken; None if all are taken, or if it has taken too many.

        Two processes may get the same job; only one can claim it.
        """
        self._wake.clear()
        if len(self._taken) >= _MAX_TAKEN:
            return None
        try:
            return await self._repository.next_pending(self._taken)
        except CatalogUnavailable as error:
            log.warning("search for pending jobs failed", error=str(error))
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
                log.warning("recovery of stalled jobs failed", error=str(error), retry_in=self._poll_seconds)
            await asyncio.sleep(self._poll_seconds)
