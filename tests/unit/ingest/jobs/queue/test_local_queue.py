"""The jobs table as a queue: woken by this process, polling for others. In virtual time."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import ATTEMPTS, DELAYS, Delivery, TryAgain
from ingest.records import STALLED_AFTER, JobStatus
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


def test_waiting_jobs_are_delivered_at_once() -> None:
    async def test(bench: Bench) -> None:
        ids = [add(bench.repository) for _ in range(3)]
        async with bench.consuming():
            await bench.until(3)
            assert bench.done == ids
            assert seconds() == 0

    story(test)


def test_publish_wakes_an_idle_worker() -> None:
    async def test(bench: Bench) -> None:
        async with bench.consuming():
            await settle()
            assert bench.repository.looked == 1
            upload_id = add(bench.repository)

            await bench.queue.publish(upload_id)

            await bench.until(1)
            assert bench.done == [upload_id]
            assert seconds() == 0

    story(test)


def test_job_published_during_work_is_delivered() -> None:
    async def test(bench: Bench) -> None:
        async with bench.consuming():
            for _ in range(5):
                await bench.queue.publish(add(bench.repository))
                await asyncio.sleep(0)
            await bench.until(5)
            assert seconds() == 0

    story(test)


def test_unpublished_job_is_found_within_5_seconds() -> None:
    async def test(bench: Bench) -> None:
        async with bench.consuming():
            await settle()
            upload_id = add(bench.repository)
            await bench.until(1)
            assert bench.done == [upload_id]
            assert seconds() == pytest.approx(5, abs=0.5)

    story(test)


def test_idle_worker_polls_every_5_seconds() -> None:
    async def test(bench: Bench) -> None:
        async with bench.consuming():
            await asyncio.sleep(3601)
            assert 600 <= bench.repository.looked <= 725

    story(test)


def test_worker_survives_database_outage() -> None:
    async def test(bench: Bench) -> None:
        upload_id = add(bench.repository)
        bench.repository.failures["next_pending"] = 3
        async with bench.consuming():
            await bench.until(1)
            assert bench.done == [upload_id]
            assert bench.repository.failures["next_pending"] == 0
            assert seconds() == pytest.approx(15, abs=1)

    story(test)


@pytest.mark.heavy
@pytest.mark.parametrize("failure", [CatalogUnavailable("away"), RuntimeError("a defect")])
def test_job_that_could_not_start_is_delivered_again(failure: Exception) -> None:
    async def test(bench: Bench) -> None:
        upload_id = add(bench.repository)
        async with bench.consuming():
            await bench.until(1)
            assert bench.done == [upload_id]
            assert bench.tries == 3
            assert seconds() == pytest.approx(10, abs=1)

    story(test, failure, failure)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_retried_job_has_six_attempts(concurrency: int) -> None:
    async def test(bench: Bench) -> None:
        upload_id = add(bench.repository)
        bench.temporary.add(upload_id)
        async with bench.consuming(concurrency):
            await bench.until(1)
            assert seconds() == pytest.approx(sum(DELAYS), abs=0.1)
            await asyncio.sleep(3600)
        assert bench.tries == 6
        assert bench.done == [upload_id]

    story(test)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_pauses_of_retried_jobs_delay_no_others(concurrency: int) -> None:
    async def test(bench: Bench) -> None:
        bench.temporary.update(add(bench.repository) for _ in range(10))
        good = [add(bench.repository) for _ in range(20)]
        async with bench.consuming(concurrency):
            await bench.until(20)
            assert bench.done == good
            assert seconds() == 0
            await bench.until(30)
            assert set(bench.done[20:]) == bench.temporary

    story(test)


def test_consumers_run_no_more_jobs_than_they_may() -> None:
    async def test(bench: Bench) -> None:
        running = most = 0

        async def handle(_delivery: Delivery) -> JobStatus:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            raise TryAgain("a fault of the store", 1)

        for _ in range(100):
            add(bench.repository)
        consumer = asyncio.create_task(bench.queue.consume(handle, 2))
        await asyncio.sleep(20)
        await cancel_and_wait(consumer)
        assert most == 2

    story(test)


def test_retry_due_in_another_process_is_found_within_5_seconds() -> None:
    async def test(bench: Bench) -> None:
        upload_id = add(bench.repository)
        bench.repository.retry_at[upload_id] = asyncio.get_running_loop().time() + 8
        async with bench.consuming():
            await bench.until(1)
            assert seconds() == pytest.approx(10, abs=0.5)

    story(test)


def test_jobs_paused_after_unexpected_errors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.jobs.queue.local_queue._MAX_TAKEN", 3)

    async def test(bench: Bench) -> None:
        ids = [add(bench.repository) for _ in range(5)]
        async with bench.consuming():
            await settle()
            assert bench.tries == 3
            await bench.until(5)
            assert sorted(bench.done) == sorted(ids)

    with capture_logs():  # tracebacks take long to print
        story(test, *[RuntimeError("a defect")] * 3)


def test_stalled_job_is_recovered_while_others_wait() -> None:
    class Stalled(MemoryRepository):
        async def recover(self, idle: timedelta = timedelta(0)) -> int:
            recovered.append((seconds(), idle))
            return 0

    recovered: list[tuple[float, timedelta]] = []

    async def story() -> None:
        bench = Bench(Stalled())
        for _ in range(10):
            add(bench.repository)
        consumer = asyncio.create_task(bench.queue.consume(lambda _: asyncio.sleep(3600), 1))
        await asyncio.sleep(11)
        await cancel_and_wait(consumer)

    at_once(story())

    assert [(round(moment), idle) for moment, idle in recovered] == [(at, STALLED_AFTER) for at in (0, 5, 10)]


def test_recovered_job_is_delivered_at_once() -> None:
    class Stalled(MemoryRepository):
        async def recover(self, idle: timedelta = timedelta(0)) -> int:
            stalled = [one for one, status in self.status.items() if status is JobStatus.PROCESSING]
            self.status |= dict.fromkeys(stalled, JobStatus.PENDING)
            return len(stalled)

    async def story() -> None:
        bench = Bench(Stalled())
        async with bench.consuming():
            await settle()
            bench.repository.status[add(bench.repository)] = JobStatus.PROCESSING
            await bench.until(1)
            assert seconds() == pytest.approx(5, abs=0.5)

    at_once(story())


def test_failure_reason_is_none() -> None:
    async def test(bench: Bench) -> None:
        assert await bench.queue.failure_reason(add(bench.repository)) is None

    story(test)


def test_many_publishers_leave_nothing_behind() -> None:
    async def test(bench: Bench) -> None:
        before = dict(vars(bench.queue))
        for _ in range(1000):
            await bench.queue.publish(new_upload_id())
        assert vars(bench.queue) == before

    story(test)
