"""The jobs table as a queue: woken by this process, polling for others. In virtual time."""

import asyncio

import pytest

from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import JobStatus
from proxy.model import new_upload_id
from tests.unit.ingest.jobs.queue.local_queue_bench import Bench, add, seconds, settle, story
from tests.unit.ingest.tasks import cancel_and_wait


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
