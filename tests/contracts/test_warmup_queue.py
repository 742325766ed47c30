"""What every WarmupQueue promises to those who publish and to those who work."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs import JobStatus, LostJob
from ingest.queue.base import Delivery, WarmupQueue
from ingest.queue.local import LocalQueue
from proxy.model import UploadId, new_upload_id
from tests.unit.ingest.fakes import accepted, eventually

GUARD = 20  # seconds; no test takes a tenth of them


@dataclass(frozen=True)
class Workshop:
    """A queue, and the catalogue that is its truth."""

    queue: WarmupQueue
    repository: JobRepository

    async def upload(self) -> UploadId:
        """An accepted upload that nobody has announced."""
        upload_id = new_upload_id()
        await self.repository.begin(upload_id)
        await self.repository.accept(accepted(upload_id))
        return upload_id

    async def work(self, number: int) -> list[UploadId]:
        """The next jobs, each claimed as a worker does; who comes too late for one lets go of it."""
        done: list[UploadId] = []
        enough = asyncio.Event()

        async def handle(delivery: Delivery) -> JobStatus | None:
            try:
                await self.repository.advance(delivery.upload_id, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
            except LostJob:
                return None
            done.append(delivery.upload_id)
            if len(done) >= number:
                enough.set()
            return JobStatus.COMPLETE

        consumer = asyncio.create_task(self.queue.consume(handle, 1))
        try:
            async with asyncio.timeout(GUARD):
                await enough.wait()
        finally:
            await eventually(consumer)
        assert consumer.cancelled()
        return done


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[JobRepository]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    await database.migrate()
    yield JobRepository(database)
    await database.close()


@pytest.fixture
async def local(repository: JobRepository) -> AsyncIterator[LocalQueue]:
    queue = LocalQueue(repository)
    yield queue
    await queue.close()


@pytest.fixture(params=["local"])
def workshop(request: pytest.FixtureRequest, repository: JobRepository) -> Workshop:
    return Workshop(request.getfixturevalue(request.param), repository)


async def test_what_is_published_is_taken(workshop: Workshop) -> None:
    upload_id = await workshop.upload()
    await workshop.queue.publish(upload_id)

    assert await workshop.work(1) == [upload_id]


async def test_all_that_is_published_is_taken_once(workshop: Workshop) -> None:
    uploads = [await workshop.upload() for _ in range(5)]
    for upload_id in uploads:
        await workshop.queue.publish(upload_id)

    assert sorted(await workshop.work(5)) == sorted(uploads)


async def test_a_repeat_is_one_job(workshop: Workshop) -> None:
    twice, once = await workshop.upload(), await workshop.upload()
    for upload_id in (twice, twice, twice, once):
        await workshop.queue.publish(upload_id)

    assert sorted(await workshop.work(2)) == sorted([twice, once])


async def test_who_waits_gets_what_is_published_later(workshop: Workshop) -> None:
    work = asyncio.create_task(workshop.work(1))
    upload_id = await workshop.upload()
    await workshop.queue.publish(upload_id)

    assert await work == [upload_id]


async def test_a_job_that_was_never_published_is_found(workshop: Workshop) -> None:
    forgotten = await workshop.upload()

    assert await workshop.work(1) == [forgotten]


async def test_two_workers_share_what_there_is(workshop: Workshop) -> None:
    uploads = [await workshop.upload() for _ in range(4)]
    for upload_id in uploads:
        await workshop.queue.publish(upload_id)

    done = [await workshop.work(1), await workshop.work(1), *await asyncio.gather(workshop.work(1), workshop.work(1))]

    taken = [upload_id for some in done for upload_id in some]
    assert sorted(taken) == sorted(uploads)


async def test_of_a_job_that_it_will_bring_the_queue_does_not_say_that_it_gave_up(workshop: Workshop) -> None:
    upload_id = await workshop.upload()
    assert await workshop.queue.gave_up(upload_id) is None

    await workshop.queue.publish(upload_id)

    assert await workshop.queue.gave_up(upload_id) is None


async def test_a_worker_that_goes_while_it_waits_loses_nothing(workshop: Workshop) -> None:
    gone = asyncio.create_task(workshop.work(1))
    await asyncio.sleep(0)
    await eventually(gone)
    upload_id = await workshop.upload()
    await workshop.queue.publish(upload_id)

    assert await workshop.work(1) == [upload_id]
