"""The repository for workers: oldest jobs first, none lost."""

from datetime import timedelta

import pytest

from ingest.catalog.repository import JobRepository
from ingest.records import JobNotClaimable, JobStatus, TraceContext
from proxy.model import new_upload_id
from tests.contracts.uploads import (
    COMPLETE,
    FAILED,
    NOON,
    PENDING,
    PROCESSING,
    accept_upload,
    job_of,
    let_pass,
    upload_of,
)


class TestForWorkers:
    async def test_next_pending_is_the_oldest(self, repository: JobRepository) -> None:
        late = await accept_upload(repository, created_at=NOON + timedelta(seconds=2))
        early = await accept_upload(repository, created_at=NOON)
        middle = await accept_upload(repository, created_at=NOON + timedelta(seconds=1))

        order = []
        while (upload_id := await repository.next_pending()) is not None:
            order.append(upload_id)
            await repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        assert order == [early, middle, late]

    async def test_next_pending_does_not_claim(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)

        assert [await repository.next_pending() for _ in range(3)] == [upload_id] * 3

    async def test_next_pending_leaves_out_taken_jobs(self, repository: JobRepository) -> None:
        first, second, third = [
            await accept_upload(repository, created_at=NOON + timedelta(seconds=number)) for number in range(3)
        ]

        assert await repository.next_pending(set()) == first
        assert await repository.next_pending({second}) == first
        assert await repository.next_pending({first, second}) == third
        assert await repository.next_pending({first, second, third, new_upload_id()}) is None

    @pytest.mark.parametrize("status", [PROCESSING, COMPLETE, FAILED])
    async def test_only_pending_jobs_are_offered(self, repository: JobRepository, status: JobStatus) -> None:
        await accept_upload(repository, status)

        assert await repository.next_pending() is None

    async def test_recover_makes_processing_jobs_pending(self, repository: JobRepository) -> None:
        uploads = {status: [await accept_upload(repository, status) for _ in range(2)] for status in JobStatus}

        assert await repository.recover() == 2
        assert await repository.recover() == 0

        after = {status: [(await job_of(repository, one)).status for one in ids] for status, ids in uploads.items()}
        assert after == {status: [PENDING if status is PROCESSING else status] * 2 for status in JobStatus}

    async def test_recover_keeps_recently_updated_jobs(self, repository: JobRepository) -> None:
        at_work = await accept_upload(repository, PROCESSING)

        assert await repository.recover(timedelta(minutes=2)) == 0
        assert (await job_of(repository, at_work)).status is PROCESSING

        await let_pass(repository, at_work, timedelta(minutes=2))
        silent = await job_of(repository, at_work)
        assert await repository.recover(timedelta(minutes=2)) == 1
        recovered = await job_of(repository, at_work)
        assert recovered.status is PENDING
        assert recovered.updated_at - silent.updated_at >= timedelta(minutes=2)

    async def test_find_stalled_returns_idle_jobs_oldest_first(self, repository: JobRepository) -> None:
        long_ago = [await accept_upload(repository) for _ in range(3)]
        for upload_id, minutes in zip(long_ago, (5, 9, 7), strict=True):
            await let_pass(repository, upload_id, timedelta(minutes=minutes))
        for status in JobStatus:  # with a heartbeat just now
            await accept_upload(repository, status)
        await repository.begin(new_upload_id())

        stalled = await repository.find_stalled(timedelta(minutes=1))

        assert stalled == [await job_of(repository, long_ago[index]) for index in (1, 2, 0)]
        assert all(job.is_stalled for job in stalled)
        assert not (await job_of(repository, await accept_upload(repository))).is_stalled

    async def test_heartbeat_keeps_a_job_from_stalling(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)
        await repository.advance(upload_id, expect=PENDING, to=PROCESSING, worker="one")
        await let_pass(repository, upload_id, timedelta(minutes=5))
        before = await job_of(repository, upload_id)

        await repository.record_heartbeat(upload_id, "one")

        after = await job_of(repository, upload_id)
        assert (before.is_stalled, after.is_stalled) == (True, False)
        assert after.updated_at == before.updated_at
        assert await repository.find_stalled(timedelta(minutes=1)) == []
        assert await repository.recover(timedelta(minutes=1)) == 0

    async def test_pending_job_without_a_heartbeat_stalls_by_its_update(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        await repository.advance(upload_id, expect=PROCESSING, to=PENDING)
        await let_pass(repository, upload_id, timedelta(minutes=5))

        assert [job.upload_id for job in await repository.find_stalled(timedelta(minutes=1))] == [upload_id]

    async def test_worker_that_lost_its_job_changes_nothing(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)
        await repository.advance(upload_id, expect=PENDING, to=PROCESSING, worker="loser")
        await repository.advance(upload_id, expect=PROCESSING, to=PROCESSING, worker="winner")
        job = await job_of(repository, upload_id)
        assert job.worker == "winner"

        for call in (
            lambda: repository.record(upload_id, 50, {}, "loser"),
            lambda: repository.record_heartbeat(upload_id, "loser"),
            lambda: repository.advance(upload_id, expect=PROCESSING, to=COMPLETE, worker="loser"),
        ):
            with pytest.raises(JobNotClaimable):
                await call()

        assert await job_of(repository, upload_id) == job
        await repository.record(upload_id, 50, {}, "winner")
        await repository.advance(upload_id, expect=PROCESSING, to=COMPLETE, worker="winner")
        assert (await job_of(repository, upload_id)).worker is None

    async def test_find_stalled_omits_ended_jobs(self, repository: JobRepository) -> None:
        uploads = {await accept_upload(repository, status): status for status in JobStatus}

        stalled = await repository.find_stalled(timedelta(0))

        assert {job.upload_id for job in stalled} == {
            one for one, status in uploads.items() if status in (PENDING, PROCESSING)
        }

    async def test_count_has_every_status(self, repository: JobRepository) -> None:
        for status in (PENDING, PENDING, PENDING, PROCESSING, FAILED):
            await accept_upload(repository, status)

        assert await repository.count() == {PENDING: 3, PROCESSING: 1, COMPLETE: 0, FAILED: 1}

    async def test_oldest_pending_returns_its_time(self, repository: JobRepository) -> None:
        assert await repository.oldest_pending() is None
        await accept_upload(repository, PROCESSING, created_at=NOON)
        await repository.begin(new_upload_id())  # an upload in progress
        assert await repository.oldest_pending() is None

        await accept_upload(repository, created_at=NOON + timedelta(seconds=2))
        await accept_upload(repository, created_at=NOON + timedelta(seconds=1))
        assert await repository.oldest_pending() == NOON + timedelta(seconds=1)

    async def test_job_keeps_its_trace_context(self, repository: JobRepository) -> None:
        trace_context = TraceContext("f" * 64, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        upload_id = new_upload_id()
        await repository.begin(upload_id, trace_context=trace_context)
        await repository.accept(upload_of(upload_id))

        assert (await job_of(repository, upload_id)).trace_context == trace_context
        assert (await job_of(repository, await accept_upload(repository))).trace_context == TraceContext()
