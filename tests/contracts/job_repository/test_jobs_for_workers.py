"""What the catalogue promises to workers: the oldest first, nothing forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.catalog.repository import JobRepository
from ingest.records import JobStatus, TraceContext
from proxy.model import new_upload_id
from tests.contracts.uploads import COMPLETE, FAILED, NOON, PENDING, PROCESSING, accept_upload, job_of, upload_of


class TestForWorkers:
    async def test_the_one_that_waited_longest_comes_first(self, repository: JobRepository) -> None:
        late = await accept_upload(repository, created_at=NOON + timedelta(seconds=2))
        early = await accept_upload(repository, created_at=NOON)
        middle = await accept_upload(repository, created_at=NOON + timedelta(seconds=1))

        order = []
        while (upload_id := await repository.next_pending()) is not None:
            order.append(upload_id)
            await repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        assert order == [early, middle, late]

    async def test_looking_takes_nothing(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)

        assert [await repository.next_pending() for _ in range(3)] == [upload_id] * 3

    @pytest.mark.parametrize("status", [PROCESSING, COMPLETE, FAILED])
    async def test_a_job_that_does_not_wait_is_not_offered(self, repository: JobRepository, status: JobStatus) -> None:
        await accept_upload(repository, status)

        assert await repository.next_pending() is None

    async def test_recovering_makes_pending_what_was_in_hand(self, repository: JobRepository) -> None:
        uploads = {status: [await accept_upload(repository, status) for _ in range(2)] for status in JobStatus}

        assert await repository.recover() == 2
        assert await repository.recover() == 0

        after = {status: [(await job_of(repository, one)).status for one in ids] for status, ids in uploads.items()}
        assert after == {status: [PENDING if status is PROCESSING else status] * 2 for status in JobStatus}

    async def test_recovering_leaves_who_has_shown_a_sign_of_life(self, repository: JobRepository) -> None:
        at_work = await accept_upload(repository, PROCESSING)

        assert await repository.recover(timedelta(minutes=2)) == 0
        assert (await job_of(repository, at_work)).status is PROCESSING

        before = datetime.now(UTC)
        assert await repository.recover(timedelta(microseconds=1)) == 1
        recovered = await job_of(repository, at_work)
        assert recovered.status is PENDING
        assert recovered.updated_at >= before

    async def test_overdue_are_those_unended_without_a_sign_of_life_the_oldest_first(
        self, repository: JobRepository
    ) -> None:
        long_ago = [
            await accept_upload(repository, created_at=datetime.now(UTC) - timedelta(minutes=minutes))
            for minutes in (5, 9, 7)
        ]
        await accept_upload(repository, created_at=datetime.now(UTC))
        for status in (PROCESSING, COMPLETE, FAILED):  # whose last sign of life is their last move, just now
            await accept_upload(repository, status, created_at=datetime.now(UTC) - timedelta(hours=1))
        await repository.begin(new_upload_id())

        stalled = await repository.find_stalled(timedelta(minutes=1))

        assert stalled == [await job_of(repository, long_ago[index]) for index in (1, 2, 0)]

    async def test_of_all_that_are_unseen_those_that_have_ended_are_not_overdue(
        self, repository: JobRepository
    ) -> None:
        uploads = {await accept_upload(repository, status): status for status in JobStatus}

        stalled = await repository.find_stalled(timedelta(0))

        assert {job.upload_id for job in stalled} == {
            one for one, status in uploads.items() if status in (PENDING, PROCESSING)
        }

    async def test_each_status_is_counted_even_if_it_is_nobodys(self, repository: JobRepository) -> None:
        for status in (PENDING, PENDING, PENDING, PROCESSING, FAILED):
            await accept_upload(repository, status)

        assert await repository.count() == {PENDING: 3, PROCESSING: 1, COMPLETE: 0, FAILED: 1}

    async def test_the_oldest_that_waits_is_known_by_its_age(self, repository: JobRepository) -> None:
        assert await repository.oldest_pending() is None
        await accept_upload(repository, PROCESSING, created_at=NOON)
        await repository.begin(new_upload_id())  # still being uploaded: it waits for its bytes
        assert await repository.oldest_pending() is None

        await accept_upload(repository, created_at=NOON + timedelta(seconds=2))
        await accept_upload(repository, created_at=NOON + timedelta(seconds=1))
        assert await repository.oldest_pending() == NOON + timedelta(seconds=1)

    async def test_a_job_keeps_what_caused_it(self, repository: JobRepository) -> None:
        trace_context = TraceContext("f" * 64, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        upload_id = new_upload_id()
        await repository.begin(upload_id, trace_context=trace_context)
        await repository.accept(upload_of(upload_id))

        assert (await job_of(repository, upload_id)).trace_context == trace_context
        assert (await job_of(repository, await accept_upload(repository))).trace_context == TraceContext()
