"""The queue of the embedded default: the jobs table itself, and a bell that rings in this process."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from ingest.catalog.repository import JobRepository
from proxy.errors import CatalogUnavailable
from proxy.model import UploadId

log = structlog.get_logger()

_LOOK_AGAIN = 5.0  # seconds; what another process published, or a stopped one left, is found by then


class LocalQueue:
    """Nothing is kept here, so that nothing grows and nothing is lost."""

    def __init__(self, repository: JobRepository) -> None:
        self._repository = repository
        self._bell = asyncio.Event()

    async def publish(self, upload_id: UploadId) -> None:  # noqa: ARG002 - the job is in the table already
        self._bell.set()

    async def take(self) -> AsyncIterator[UploadId]:
        while True:
            self._bell.clear()
            try:
                upload_id = await self._repository.next_pending()
            except CatalogUnavailable as error:
                log.warning("cannot look for jobs", error=str(error))
                upload_id = None
            if upload_id is not None:
                yield upload_id
                continue
            try:
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._bell.wait()
            except TimeoutError:
                continue
