"""The reconciler ends jobs that the queue lost or abandoned. In virtual time."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ingest.jobs.reconciler import Reconciler
from ingest.records import Job, JobStatus
from proxy.errors import Unavailable
from proxy.model import UploadId
from tests.unit.ingest.examples import accepted, now
from tests.unit.ingest.fakes import RecordingQueue, queue_away
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once, cancel_and_wait

PENDING, PROCESSING, COMPLETE, FAILED = JobStatus


def run(repository: MemoryRepository, queue: RecordingQueue, seconds: float) -> None:
    async def story() -> None:
        reconciler = asyncio.create_task(Reconciler(repository, queue).run())
        await asyncio.sleep(seconds)
        assert not reconciler.done()
        await cancel_and_wait(reconciler)

    at_once(story())


def job(repository: MemoryRepository, status: JobStatus) -> Job:
    [upload_id] = repository.status
    repository.status[upload_id] = status
    return Job(upload_id, status, 0, None, now(), now())


@pytest.mark.parametrize("status", [PENDING, PROCESSING])
def test_stalled_job_is_republished(status: JobStatus) -> None:
    repository, queue = MemoryRepository(accepted()), RecordingQueue()
    [upload_id] = repository.status
    repository.status[upload_id] = status

    run(repository, queue, 11)

    assert queue.published == [upload_id] * 3  # at once, and every five seconds
    assert repository.status[upload_id] is status


@pytest.mark.parametrize("status", [PENDING, PROCESSING])
def test_job_abandoned_by_the_queue_fails(status: JobStatus) -> None:
    repository = MemoryRepository(accepted())
    chosen = job(repository, status)
    queue = RecordingQueue(given_up={chosen.upload_id: "secret: a stack trace"})

    run(repository, queue, 6)

    assert repository.status[chosen.upload_id] is FAILED
    sentence = repository.errors[chosen.upload_id]
    assert sentence
    assert "secret" not in sentence
    assert queue.published == []


@pytest.mark.parametrize("ended", [COMPLETE, FAILED])
def test_job_that_ended_meanwhile_is_unchanged(ended: JobStatus) -> None:
    repository = MemoryRepository(accepted())
    seen = job(repository, PROCESSING)
    job(repository, ended)
    queue = RecordingQueue(given_up={seen.upload_id: "why"})

    at_once(Reconciler(repository, queue).reconcile(seen))

    assert repository.status[seen.upload_id] is ended
    assert repository.errors[seen.upload_id] is None


@pytest.mark.parametrize("failing", ["find_stalled", "advance"])
def test_reconciler_survives_database_outage(failing: str) -> None:
    repository = MemoryRepository(accepted())
    chosen = job(repository, PROCESSING)
    repository.failures[failing] = 3

    run(repository, RecordingQueue(given_up={chosen.upload_id: "why"}), 60)

    assert repository.status[chosen.upload_id] is FAILED


def test_error_about_one_job_does_not_end_the_round() -> None:
    class Broken(RecordingQueue):
        async def failure_reason(self, upload_id: UploadId) -> str | None:
            if upload_id == broken:
                raise RuntimeError("a defect")
            return None

    repository, queue = MemoryRepository(accepted(), accepted()), Broken()
    broken, fine = repository.status

    with capture_logs() as logs:
        run(repository, queue, 1)

    assert queue.published == [fine]
    assert [line["upload"] for line in logs if line["log_level"] == "error"] == [broken]


def test_reconciler_survives_queue_outage() -> None:
    repository, queue = MemoryRepository(accepted()), RecordingQueue(failure=queue_away())
    assert isinstance(queue.failure, Unavailable)

    async def story() -> None:
        reconciler = asyncio.create_task(Reconciler(repository, queue).run())
        await asyncio.sleep(60)
        queue.failure = None
        await asyncio.sleep(6)
        assert queue.published
        await cancel_and_wait(reconciler)

    at_once(story())


def test_more_jobs_than_a_page_are_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.jobs.reconciler.PAGE", 2)
    monkeypatch.setattr("tests.unit.ingest.repositories.PAGE", 2)
    repository, queue = MemoryRepository(*(accepted() for _ in range(5))), RecordingQueue()
    uploads = list(repository.status)

    run(repository, queue, 21)

    assert queue.published == [*uploads, *uploads[:4]]  # two in each round; the last page starts over
