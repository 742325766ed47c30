"""The local queue: jobs that failed, stalled or wait for their next attempt."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.warm_up_queue import DELAYS
from ingest.records import STALLED_AFTER, JobStatus
from tests.unit.ingest.jobs.queue.local_queue_bench import Bench, add, seconds, settle, story
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once, cancel_and_wait


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
