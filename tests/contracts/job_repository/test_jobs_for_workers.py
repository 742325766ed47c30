"""The repository for workers: oldest jobs first, none lost."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import SecondsAgo, upload_jobs
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

pytestmark = pytest.mark.asyncio(loop_scope="module")


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

    async def test_next_pending_leaves_out_jobs_whose_retry_is_not_due(
        self, repository: JobRepository, database: Database
    ) -> None:
        paused = await accept_upload(repository, PROCESSING)
        await repository.advance(paused, expect=PROCESSING, to=PENDING, retry_in=60)
        assert await repository.next_pending() is None
        assert await repository.longest_wait() >= await database.now() - NOON - timedelta(seconds=60)

        async with database.transaction() as connection:
            await connection.execute(update(upload_jobs).values(retry_at=SecondsAgo(0.5)))
        assert await repository.next_pending() == paused

        await repository.advance(paused, expect=PENDING, to=PROCESSING)
        await repository.advance(paused, expect=PROCESSING, to=PENDING, retry_in=60)
        await repository.advance(paused, expect=PENDING, to=PROCESSING)
        assert await repository.recover() == 1
        assert await repository.next_pending() == paused  # a job whose worker died waits for nothing

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

    @pytest.mark.parametrize("status", [PENDING, PROCESSING])
    async def test_find_stalled_returns_idle_jobs_oldest_first(
        self, repository: JobRepository, status: JobStatus
    ) -> None:
        long_ago = [
            await accept_upload(repository, status, created_at=NOON + timedelta(seconds=second)) for second in (3, 1, 2)
        ]
        for upload_id in long_ago:
            await let_pass(repository, upload_id, timedelta(minutes=5))
        for other in JobStatus:  # with a heartbeat just now
            await accept_upload(repository, other)
        await repository.begin(new_upload_id())

        stalled = await repository.find_stalled(status, idle=timedelta(minutes=1))

        assert stalled == [await job_of(repository, long_ago[index]) for index in (1, 2, 0)]
        assert all(job.is_stalled for job in stalled)
        assert not (await job_of(repository, await accept_upload(repository))).is_stalled

    async def test_find_stalled_goes_on_after_a_job(
        self, repository: JobRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.catalog.repository.PAGE", 2)
        moments = [NOON, NOON, NOON, NOON + timedelta(microseconds=1), NOON + timedelta(days=1)]
        uploads = [await accept_upload(repository, created_at=moment) for moment in moments]

        pages, last = [], None
        while page := await repository.find_stalled(PENDING, last, idle=timedelta(0)):
            pages.append([job.upload_id for job in page])
            last = page[-1]

        in_order = [*sorted(uploads[:3]), *uploads[3:]]
        assert pages == [in_order[:2], in_order[2:4], in_order[4:]]

    async def test_heartbeat_keeps_a_job_from_stalling(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)
        await repository.advance(upload_id, expect=PENDING, to=PROCESSING, worker="one")
        await let_pass(repository, upload_id, timedelta(minutes=5))
        before = await job_of(repository, upload_id)

        await repository.record_heartbeat(upload_id, "one")

        after = await job_of(repository, upload_id)
        assert (before.is_stalled, after.is_stalled) == (True, False)
        assert after.updated_at == before.updated_at
        assert await repository.find_stalled(PROCESSING, idle=timedelta(minutes=1)) == []
        assert await repository.recover(timedelta(minutes=1)) == 0

    async def test_pending_job_without_a_heartbeat_stalls_by_its_update(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        await repository.advance(upload_id, expect=PROCESSING, to=PENDING)
        await let_pass(repository, upload_id, timedelta(minutes=5))

        assert [job.upload_id for job in await repository.find_stalled(PENDING, idle=timedelta(minutes=1))] == [
            upload_id
        ]

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

    async def test_count_has_every_status(self, repository: JobRepository) -> None:
        for status in (PENDING, PENDING, PENDING, PROCESSING, FAILED):
            await accept_upload(repository, status)
        await repository.begin(new_upload_id())  # an upload in progress

        assert await repository.count() == {PENDING: 3, PROCESSING: 1, COMPLETE: 0, FAILED: 1}

    async def test_count_beyond_its_limit_estimates_complete_jobs_only(
        self, repository: JobRepository, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for status in (*[COMPLETE] * 7, *[FAILED] * 4, PENDING):
            await accept_upload(repository, status)
        async with database.transaction() as connection:
            await connection.execute(text("ANALYZE"))
        monkeypatch.setattr("ingest.catalog.job_counts._COUNTED", 3)

        assert await repository.count() == {PENDING: 1, PROCESSING: 0, COMPLETE: 8, FAILED: 3}

    async def test_count_keeps_the_number_of_all_uploads_for_a_minute(
        self, repository: JobRepository, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.catalog.job_counts._COUNTED", 3)
        now = 0.0
        monkeypatch.setattr("ingest.catalog.job_counts.monotonic", lambda: now)
        found = []
        for now in (0.0, 59.0, 61.0):  # noqa: B007 - is read by the lambda
            for _ in range(4):
                await accept_upload(repository, COMPLETE)
            async with database.transaction() as connection:
                await connection.execute(text("ANALYZE"))
            found.append((await repository.count())[COMPLETE])

        assert found == [4, 4, 12]

    async def test_count_with_an_outdated_estimate_is_bounded(
        self, repository: JobRepository, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with database.transaction() as connection:
            await connection.execute(text("ANALYZE"))
        for _ in range(4):
            await accept_upload(repository, COMPLETE)
        monkeypatch.setattr("ingest.catalog.job_counts._COUNTED", 3)

        expected = 4 if database.engine.dialect.name == "sqlite" else 3
        assert (await repository.count())[COMPLETE] == expected

    async def test_longest_wait_is_that_of_the_oldest_pending_job(
        self, repository: JobRepository, database: Database
    ) -> None:
        assert await repository.longest_wait() == timedelta(0)
        await accept_upload(repository, PROCESSING, created_at=NOON)
        await repository.begin(new_upload_id())  # an upload in progress
        await accept_upload(repository, created_at=await database.now() + timedelta(hours=1))  # by another clock
        assert await repository.longest_wait() == timedelta(0)

        await accept_upload(repository, created_at=NOON + timedelta(hours=2))
        await accept_upload(repository, created_at=NOON + timedelta(hours=1))
        begin = await database.now()
        waited = await repository.longest_wait()
        assert begin <= NOON + timedelta(hours=1) + waited <= await database.now()

    async def test_job_keeps_its_trace_context(self, repository: JobRepository) -> None:
        trace_context = TraceContext("f" * 64, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        upload_id = new_upload_id()
        await repository.begin(upload_id, trace_context=trace_context)
        await repository.accept(upload_of(upload_id))

        assert (await job_of(repository, upload_id)).trace_context == trace_context
        assert (await job_of(repository, await accept_upload(repository))).trace_context == TraceContext()
