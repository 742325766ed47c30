"""A local queue in virtual time, with a handler whose outcomes a test decides."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial

from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import ATTEMPTS, DELAYS, Delivery, TryAgain
from ingest.records import JobStatus
from proxy.model import UploadId, new_upload_id
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once, cancel_and_wait
from tests.virtual_time import VirtualTimeLoop


class Bench:
    """A queue that ends every job, those in `temporary` with the sixth attempt. Its first attempts raise `failures`."""

    def __init__(self, repository: MemoryRepository, *failures: Exception) -> None:
        self.repository = repository
        self.queue = LocalQueue(repository)
        self.done: list[UploadId] = []
        self.temporary: set[UploadId] = set()
        self.tries = 0
        self._failures = list(failures)
        self._more = asyncio.Condition()

    async def handle(self, delivery: Delivery) -> JobStatus:
        self.tries += 1
        if self._failures:
            raise self._failures.pop(0)
        advance = partial(self.repository.advance, delivery.upload_id)
        attempts = await advance(expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
        if delivery.upload_id in self.temporary and attempts < ATTEMPTS:
            pause = DELAYS[attempts - 1]
            await advance(expect=JobStatus.PROCESSING, to=JobStatus.PENDING, retry_in=pause)
            raise TryAgain("a fault of this picture", pause)
        await advance(expect=JobStatus.PROCESSING, to=JobStatus.COMPLETE)
        async with self._more:
            self.done.append(delivery.upload_id)
            self._more.notify_all()
        return JobStatus.COMPLETE

    async def until(self, number: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: len(self.done) >= number)

    @asynccontextmanager
    async def consuming(self, concurrency: int = 1):
        consumer = asyncio.create_task(self.queue.consume(self.handle, concurrency))
        try:
            yield
        finally:
            await cancel_and_wait(consumer)
        assert consumer.cancelled()


def seconds() -> float:
    """Seconds that passed idle."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.skipped


def add(repository: MemoryRepository) -> UploadId:
    """Adds a job without publishing it."""
    upload_id = new_upload_id()
    repository.uploads[upload_id] = accepted(upload_id)
    repository.status[upload_id] = JobStatus.PENDING
    return upload_id


async def settle() -> None:
    """Lets other tasks run."""
    for _ in range(50):
        await asyncio.sleep(0)


def story(test: Callable[[Bench], object], *failures: Exception) -> None:
    async def run() -> None:
        await test(Bench(MemoryRepository(), *failures))

    at_once(run())
