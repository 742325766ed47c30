"""The jobs table as a queue: a bell for what happens here, another look for what happens elsewhere. Virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingest.jobs import JobStatus
from ingest.queue.local import LocalQueue
from proxy.model import UploadId, new_upload_id
from tests.fakes import VirtualTimeLoop
from tests.unit.ingest.fakes import MemoryRepository, accepted, at_once


def seconds() -> float:
    """That have passed without anything to do."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.skipped


def add(repository: MemoryRepository, upload_id: UploadId) -> None:
    repository.images[upload_id] = accepted(upload_id)
    repository.status[upload_id] = JobStatus.PENDING


async def settle() -> None:
    """Lets whoever can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def following(jobs: AsyncIterator[UploadId]) -> UploadId:
    return await anext(jobs)


def test_a_job_that_waits_already_is_taken_at_once() -> None:
    async def story() -> None:
        image = accepted()
        queue = LocalQueue(MemoryRepository(image))

        assert await anext(queue.take()) == image.upload_id
        assert seconds() == 0

    at_once(story())


def test_publishing_wakes_who_waits() -> None:
    async def story() -> None:
        repository = MemoryRepository()
        queue = LocalQueue(repository)
        waiting = asyncio.create_task(following(queue.take()))
        await settle()
        assert repository.looked == 1
        upload_id = new_upload_id()
        add(repository, upload_id)

        await queue.publish(upload_id)

        assert await waiting == upload_id
        assert repository.looked == 2
        assert seconds() == 0

    at_once(story())


def test_a_job_that_nobody_announced_is_found_within_five_seconds() -> None:
    async def story() -> None:
        repository = MemoryRepository()
        waiting = asyncio.create_task(following(LocalQueue(repository).take()))
        await settle()
        upload_id = new_upload_id()
        add(repository, upload_id)  # by another process

        assert await waiting == upload_id
        assert seconds() == pytest.approx(5, abs=0.5)

    at_once(story())


def test_nothing_to_do_is_asked_for_every_five_seconds_and_no_more() -> None:
    async def story() -> None:
        repository = MemoryRepository()
        waiting = asyncio.create_task(following(LocalQueue(repository).take()))

        await asyncio.sleep(3601)

        assert 600 <= repository.looked <= 725
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    at_once(story())


def test_a_job_left_pending_is_offered_again() -> None:
    async def story() -> None:
        image = accepted()
        jobs = LocalQueue(MemoryRepository(image)).take()

        assert [await anext(jobs) for _ in range(3)] == [image.upload_id] * 3

    at_once(story())


def test_it_outlives_a_database_that_is_away() -> None:
    async def story() -> None:
        image = accepted()
        repository = MemoryRepository(image)
        repository.failures["next_pending"] = 3

        assert await anext(LocalQueue(repository).take()) == image.upload_id
        assert repository.looked == 4
        assert seconds() == pytest.approx(15, abs=1)

    at_once(story())


def test_many_who_publish_leave_nothing_behind() -> None:
    async def story() -> None:
        queue = LocalQueue(MemoryRepository())
        before = dict(vars(queue))
        for _ in range(1000):
            await queue.publish(new_upload_id())

        assert vars(queue) == before

    at_once(story())
