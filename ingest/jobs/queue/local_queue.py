"""The queue of the embedded default: the jobs table itself, and a bell that rings in this process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from ingest.catalog.repository import JobRepository
from ingest.errors import CatalogUnavailable
from ingest.jobs.queue.retries import deliver
from ingest.jobs.queue.warm_up_queue import Handler
from proxy.model import UploadId

log = structlog.get_logger()

_LOOK_AGAIN = 5.0  # seconds
_ABANDONED = timedelta(minutes=2)  # without a sign of life; a job at work shows one with every variant


class LocalQueue:
    """Nothing is kept here, so that nothing grows and nothing is lost.

    `look_again`: seconds by which that is found what another process published, or a stopped one left.
    """

    def __init__(self, repository: JobRepository, *, look_again: float = _LOOK_AGAIN) -> None:
        self._repository = repository
        self._look_again = look_again
        self._bell = asyncio.Event()

    async def publish(self, upload_id: UploadId) -> None:  # noqa: ARG002 - the job is in the table already
        self._bell.set()

    async def gave_up(self, upload_id: UploadId) -> str | None:  # noqa: ARG002 - the interface has it
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
                log.warning("cannot begin a job", upload=upload_id, error=str(error))
                await asyncio.sleep(self._look_again)
            except Exception:  # a defect of ours, in one job; the next ones are none the worse for it
                log.exception("unexpected error in a job", upload=upload_id)
                await asyncio.sleep(self._look_again)

    async def _pending(self) -> AsyncIterator[UploadId]:
        """Jobs to do, for ever. Two consumers may be given the same one; claiming it decides who has it."""
        while True:
            self._bell.clear()
            try:
                upload_id = await self._repository.next_pending()
                if upload_id is None:
                    await self._repository.recover(_ABANDONED)
            except CatalogUnavailable as error:
                log.warning("cannot look for jobs", error=str(error))
                upload_id = None
            if upload_id is not None:
                yield upload_id
                continue
            try:
                async with asyncio.timeout(self._look_again):
                    await self._bell.wait()
            except TimeoutError:
                continue
