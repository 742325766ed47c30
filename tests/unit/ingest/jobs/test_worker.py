"""A worker on the embedded queue: no failure of a job stops it. In virtual time."""

import asyncio
from collections.abc import Iterable

import pytest

from ingest.ingest_errors import CatalogUnavailable, InstallationMismatch
from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import DELAYS
from ingest.jobs.reconciler import Reconciler
from ingest.jobs.warm_up import WarmUp
from ingest.jobs.worker import Worker
from ingest.records import Job, JobStatus, Upload
from proxy.errors import ServiceError, StoreUnavailable, Undecodable
from proxy.model import UploadId
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import ScriptedVariantService, VerifiedInstallation
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once, cancel_and_wait

PENDING, PROCESSING, COMPLETE, FAILED = JobStatus


class Broken(MemoryRepository):
    """Raises an unexpected exception the given number of times when its first upload is looked up."""

    def __init__(self, *uploads: Upload, times: int) -> None:
        super().__init__(*uploads)
        self._bad = uploads[0].upload_id
        self._times = times

    async def find(self, upload_id: UploadId) -> tuple[Upload, Job]:
        if upload_id == self._bad and self._times:
            self._times -= 1
            raise RuntimeError("a defect")
        return await super().find(upload_id)


def worker_over(
    repository: MemoryRepository, variant_service: ScriptedVariantService, *failures: ServiceError
) -> Worker:
    """`failures`: of the first looks whether database and store belong together."""
    queue = LocalQueue(repository)
    installation = VerifiedInstallation(list(failures))
    return Worker(queue, WarmUp(repository, variant_service, SIZES), Reconciler(repository, queue), installation)


def work(
    repository: MemoryRepository,
    variant_service: ScriptedVariantService,
    *failures: ServiceError,
    seconds: float = 600,
) -> None:
    """Runs a worker for the given time, then stops it."""

    async def story() -> None:
        worker = asyncio.create_task(worker_over(repository, variant_service, *failures).run())
        await asyncio.sleep(seconds)
        assert not worker.done()
        await cancel_and_wait(worker)
        assert worker.cancelled()

    at_once(story())


def statuses(repository: MemoryRepository, uploads: Iterable[Upload]) -> list[JobStatus]:
    return [repository.status[upload.upload_id] for upload in uploads]


def test_worker_runs_jobs_in_turn() -> None:
    uploads = [accepted() for _ in range(3)]
    repository = MemoryRepository(*uploads)

    work(repository, variant_service := ScriptedVariantService())

    assert statuses(repository, uploads) == [COMPLETE] * 3
    assert variant_service.attempts == 3


def test_failed_job_does_not_stop_the_worker() -> None:
    uploads = [accepted() for _ in range(3)]
    repository = MemoryRepository(*uploads)

    work(repository, ScriptedVariantService(Undecodable("Export it again.")))

    assert statuses(repository, uploads) == [FAILED, COMPLETE, COMPLETE]


def test_job_with_temporary_errors_completes() -> None:
    upload = accepted()
    repository = MemoryRepository(upload)

    work(repository, variant_service := ScriptedVariantService(*[StoreUnavailable("s")] * 3))

    assert statuses(repository, [upload]) == [COMPLETE]
    assert variant_service.attempts == 4


def test_attempts_are_counted_across_processes() -> None:
    upload = accepted()
    repository = MemoryRepository(upload)
    variant_service = ScriptedVariantService(*[StoreUnavailable("away")] * 100)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        workers = [asyncio.create_task(worker_over(repository, variant_service).run()) for _ in range(4)]
        await repository.ended.wait()
        assert loop.time() - start >= 0.75 * sum(DELAYS)  # the pauses are kept, too
        await asyncio.sleep(600)
        for worker in workers:
            await cancel_and_wait(worker)

    at_once(story())

    assert statuses(repository, [upload]) == [FAILED]
    assert variant_service.attempts == 6


def test_attempts_are_counted_across_restarts() -> None:
    upload = accepted()
    repository = MemoryRepository(upload)
    variant_service = ScriptedVariantService(*[StoreUnavailable("away")] * 100)

    work(repository, variant_service, seconds=2)
    assert statuses(repository, [upload]) == [PENDING]
    assert variant_service.attempts == 2
    repository.retry_at.clear()  # the next worker has a clock of its own here
    work(repository, variant_service)

    assert statuses(repository, [upload]) == [FAILED]
    assert variant_service.attempts == 6


def test_database_outage_is_polled_slowly() -> None:
    upload = accepted()
    repository = MemoryRepository(upload)
    repository.failures.update(advance=10, next_pending=10, find_stalled=10, recover=3)

    work(repository, ScriptedVariantService())

    assert statuses(repository, [upload]) == [COMPLETE]
    assert repository.looked <= 150


@pytest.mark.heavy
def test_unexpected_exception_does_not_stop_the_worker() -> None:
    uploads = [accepted() for _ in range(3)]
    repository = Broken(*uploads, times=1)

    work(repository, ScriptedVariantService())

    assert statuses(repository, uploads) == [COMPLETE] * 3


@pytest.mark.heavy
def test_job_that_always_fails_does_not_block_others() -> None:
    uploads = [accepted() for _ in range(3)]
    repository = Broken(*uploads, times=1_000_000)

    work(repository, ScriptedVariantService(), seconds=60)

    assert statuses(repository, uploads[1:]) == [COMPLETE] * 2


def test_stopped_worker_makes_its_job_pending() -> None:
    upload = accepted()
    repository = MemoryRepository(upload)
    repository.failures["record"] = 1_000_000

    async def story() -> None:
        worker = asyncio.create_task(worker_over(repository, ScriptedVariantService()).run())
        await asyncio.sleep(10)
        assert statuses(repository, [upload]) == [PROCESSING]

        await cancel_and_wait(worker)

        assert worker.cancelled()
        assert statuses(repository, [upload]) == [PENDING]

    at_once(story())


def test_idle_worker_stops() -> None:
    work(MemoryRepository(), ScriptedVariantService())


def test_concurrent_consumers_share_jobs() -> None:
    uploads = [accepted() for _ in range(10)]
    repository = MemoryRepository(*uploads)
    variant_service = ScriptedVariantService()

    async def story() -> None:
        worker = asyncio.create_task(worker_over(repository, variant_service).run(concurrency=4))
        await asyncio.sleep(60)
        await cancel_and_wait(worker)

    at_once(story())

    assert statuses(repository, uploads) == [COMPLETE] * 10
    assert variant_service.attempts == 10


def test_worker_waits_while_store_or_database_are_unavailable() -> None:
    uploads = [accepted()]
    repository = MemoryRepository(*uploads)

    work(repository, ScriptedVariantService(), StoreUnavailable("away"), CatalogUnavailable("away"))

    assert statuses(repository, uploads) == [COMPLETE]


def test_worker_runs_no_job_of_another_installation() -> None:
    uploads = [accepted()]
    repository = MemoryRepository(*uploads)

    async def story() -> None:
        with pytest.raises(InstallationMismatch):
            await worker_over(repository, ScriptedVariantService(), InstallationMismatch("another")).run()

    at_once(story())

    assert statuses(repository, uploads) == [PENDING]
