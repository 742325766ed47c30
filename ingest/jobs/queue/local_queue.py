"""The queue without Redis: polls the jobs table; an event wakes the workers of this process early."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.deliver import deliver
from ingest.jobs.queue.warm_up_queue import Handler
from ingest.records import STALLED_AFTER
from proxy.model import UploadId

log = structlog.get_logger()

_POLL_SECONDS = 5.0


class LocalQueue:
    """Holds no jobs itself, so it loses none.

    `poll_seconds`: how soon it finds jobs that another process published or left unfinished.
    """

    def __init__(self, repository: JobRepository, *, poll_seconds: float = _POLL_SECONDS) -> None:
        self._repository = repository
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()

    async def publish(self, upload_id: UploadId) -> None:  # noqa: ARG002 - the job is in the table already
        self._wake.set()

    async def failure_reason(self, upload_id: UploadId) -> str | None:  # noqa: ARG002 - part of the interface
        return None

    async def lengths(self) -> dict[str, int]:
        return {}

    async def consume(self, handle: Handler, concurrency: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._consume(handle))

    async def close(self) -> None:
        pass

    async def _consume(self, handle: Handler) -> None:
        async for upload_id in self._pending():
            try:
                await deliver(handle, upload_id)
            except CatalogUnavailable as error:
                log.warning("job not started, database unavailable", upload=upload_id, error=str(error))
                await asyncio.sleep(self._poll_seconds)
            except Exception:  # an unhandled error in one job must not stop the others
                log.exception("unhandled error in job", upload=upload_id)
                await asyncio.sleep(self._poll_seconds)

    async def _pending(self) -> AsyncIterator[UploadId]:
        """Yields pending jobs without end. Two consumers may get the same job; only one can claim it."""
        while True:
            self._wake.clear()
            try:
                upload_id = await self._repository.next_pending()
                if upload_id is None:
                    await self._repository.recover(STALLED_AFTER)
            except CatalogUnavailable as error:
                log.warning("job lookup failed", error=str(error))
                upload_id = None
            if upload_id is not None:
                yield upload_id
                continue
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()
            except TimeoutError:
                continue
