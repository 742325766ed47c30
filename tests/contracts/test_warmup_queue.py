"""What every WarmupQueue promises to those who publish and to those who work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs import JobStatus
from ingest.queue.base import WarmupQueue
from ingest.queue.local import LocalQueue
from proxy.model import UploadId, new_upload_id
from tests.unit.ingest.fakes import accepted

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

    async def claim(self, upload_id: UploadId) -> None:
        await self.repository.advance(upload_id, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)

    async def work(self, number: int) -> list[UploadId]:
        """The next jobs, each claimed as a worker does."""
        done: list[UploadId] = []
        async with asyncio.timeout(GUARD), aclosing(cast("Any", self.queue.take())) as jobs:
            async for upload_id in jobs:
                await self.claim(upload_id)
                done.append(upload_id)
                if len(done) == number:
                    return done
        raise AssertionError("a queue ends")


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[JobRepository]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    await database.migrate()
    yield JobRepository(database)
    await database.close()


@pytest.fixture
def local(repository: JobRepository) -> LocalQueue:
    return LocalQueue(repository)


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

    first = await workshop.work(2)
    second = await workshop.work(2)

    assert sorted(first + second) == sorted(uploads)


async def test_a_worker_that_goes_while_it_waits_loses_nothing(workshop: Workshop) -> None:
    gone = asyncio.create_task(workshop.work(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    upload_id = await workshop.upload()
    await workshop.queue.publish(upload_id)

    assert await workshop.work(1) == [upload_id]
