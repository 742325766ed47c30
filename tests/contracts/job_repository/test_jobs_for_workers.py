"""The repository for workers: oldest jobs first, none lost."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.catalog.repository import JobRepository
from ingest.records import JobStatus, TraceContext
from proxy.model import new_upload_id
from tests.contracts.uploads import COMPLETE, FAILED, NOON, PENDING, PROCESSING, accept_upload, job_of, upload_of


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

        before = datetime.now(UTC)
        assert await repository.recover(timedelta(microseconds=1)) == 1
        recovered = await job_of(repository, at_work)
        assert recovered.status is PENDING
        assert recovered.updated_at >= before

    async def test_find_stalled_returns_idle_jobs_oldest_first(self, repository: JobRepository) -> None:
        long_ago = [
            await accept_upload(repository, created_at=datetime.now(UTC) - timedelta(minutes=minutes))
            for minutes in (5, 9, 7)
        ]
        await accept_upload(repository, created_at=datetime.now(UTC))
        for status in (PROCESSING, COMPLETE, FAILED):  # updated just now by their last transition
            await accept_upload(repository, status, created_at=datetime.now(UTC) - timedelta(hours=1))
        await repository.begin(new_upload_id())

        stalled = await repository.find_stalled(timedelta(minutes=1))

        assert stalled == [await job_of(repository, long_ago[index]) for index in (1, 2, 0)]

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
