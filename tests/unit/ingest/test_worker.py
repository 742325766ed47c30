"""A worker goes on: whatever becomes of one job, the next is taken. In virtual time."""

import asyncio
from collections.abc import Callable

from ingest.jobs import JobStatus
from ingest.queue.local import LocalQueue
from ingest.warmup import WarmUp
from ingest.worker import Worker
from proxy.errors import Undecodable
from proxy.model import UploadId
from tests.unit.ingest.fakes import (
    SIZES,
    MemoryRepository,
    RecordingQueue,
    ScriptedDerivations,
    accepted,
    at_once,
    eventually,
)


class BrokenOnce(MemoryRepository):
    """Raises what nobody has foreseen, the first time that it is asked."""

    broken = False

    async def find(self, upload_id: UploadId):
        if not self.broken:
            self.broken = True
            raise RuntimeError("a defect")
        return await super().find(upload_id)


def work(repository: MemoryRepository, derivations: ScriptedDerivations, *published: UploadId) -> None:
    """Runs a worker over what is published; it ends with the queue."""
    at_once(Worker(RecordingQueue(published=list(published)), WarmUp(repository, derivations, SIZES)).run())


def jobs(*, kind: Callable[..., MemoryRepository] = MemoryRepository, number: int = 3) -> tuple[MemoryRepository, list]:
    images = [accepted() for _ in range(number)]
    return kind(*images), [image.upload_id for image in images]


def test_it_takes_one_job_after_another() -> None:
    repository, ids = jobs()

    work(repository, ScriptedDerivations(), *ids)

    assert list(repository.status.values()) == [JobStatus.COMPLETE] * 3


def test_a_job_that_fails_is_not_the_last() -> None:
    repository, ids = jobs()

    work(repository, ScriptedDerivations(Undecodable("Export it again.")), *ids)

    assert [repository.status[upload_id] for upload_id in ids] == [
        JobStatus.FAILED,
        JobStatus.COMPLETE,
        JobStatus.COMPLETE,
    ]


def test_a_job_that_comes_twice_is_done_once() -> None:
    repository, [upload_id] = jobs(number=1)
    derivations = ScriptedDerivations()

    work(repository, derivations, upload_id, upload_id, upload_id)

    assert derivations.attempts == 1


def test_a_job_that_is_gone_is_passed_over() -> None:
    repository, ids = jobs()

    work(repository, ScriptedDerivations(), accepted().upload_id, *ids)

    assert list(repository.status.values()) == [JobStatus.COMPLETE] * 3


def test_a_database_that_is_away_is_not_asked_a_thousand_times() -> None:
    async def story() -> None:
        repository, [upload_id] = jobs(number=1)
        repository.failures["advance"] = 10
        warmup = WarmUp(repository, ScriptedDerivations(), SIZES)
        loop = asyncio.get_running_loop()
        start = loop.time()
        worker = asyncio.create_task(Worker(LocalQueue(repository), warmup).run())

        await repository.ended.wait()

        assert repository.status[upload_id] is JobStatus.COMPLETE
        assert 9 <= loop.time() - start <= 100
        assert repository.looked <= 25
        await eventually(worker)

    at_once(story())


def test_an_exception_that_nobody_has_foreseen_is_not_the_end_of_the_worker() -> None:
    repository, ids = jobs(kind=BrokenOnce)

    work(repository, ScriptedDerivations(), *ids)

    assert [repository.status[upload_id] for upload_id in ids[1:]] == [JobStatus.COMPLETE] * 2


def test_stopped_it_ends_and_the_job_in_hand_is_pending_again() -> None:
    async def story() -> None:
        repository, [upload_id] = jobs(number=1)
        repository.failures["record"] = 1_000_000
        warmup = WarmUp(repository, ScriptedDerivations(), SIZES)
        worker = asyncio.create_task(Worker(LocalQueue(repository), warmup).run())
        await asyncio.sleep(10)
        assert repository.status[upload_id] is JobStatus.PROCESSING

        await eventually(worker)

        assert worker.cancelled()
        assert repository.status[upload_id] is JobStatus.PENDING

    at_once(story())


def test_idle_it_ends_when_it_is_stopped() -> None:
    async def story() -> None:
        repository, _ = jobs(number=0)
        worker = asyncio.create_task(
            Worker(LocalQueue(repository), WarmUp(repository, ScriptedDerivations(), SIZES)).run()
        )
        await asyncio.sleep(60)

        await eventually(worker)

        assert worker.cancelled()

    at_once(story())
