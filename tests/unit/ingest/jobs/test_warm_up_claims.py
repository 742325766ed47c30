"""Which deliveries may claim a job, and what a stopped or lost one leaves."""

import asyncio
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs import heartbeats
from ingest.jobs.deliver import deliver
from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.warm_up import WarmUp
from ingest.records import STALLED_AFTER, JobStatus, Upload
from proxy.errors import Undecodable
from proxy.model import UploadId, new_upload_id
from tests.contracts.uploads import let_pass
from tests.fakes import CountingStore
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.jobs.warmed import COMPLETE, FAILED, PENDING, PROCESSING, SIZES, sizes_in, status
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import reached

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.heavy]


async def assert_cancelled(run: asyncio.Task[Any]) -> None:
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


class TestStopped:
    @pytest.mark.heavy
    async def test_cancelled_job_is_pending_again(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("put", done=True)
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)

        await assert_cancelled(run)

        assert await status(repository, upload.upload_id) == (PENDING, 0, None)
        assert await repository.next_pending() == upload.upload_id
        gate.open()
        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

    async def test_cancelled_before_claim_leaves_the_job_alone(
        self, warmup: WarmUp, repository: WatchedRepository, database: Database, upload: Upload
    ) -> None:
        gate = repository.hold("advance")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await JobRepository(database).advance(upload.upload_id, expect=PENDING, to=PROCESSING)
        run.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await run

        assert (await status(repository, upload.upload_id))[0] is PROCESSING

    async def test_cancelled_after_losing_the_job_ends(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("put")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await repository.recover()

        await assert_cancelled(run)

        assert await status(repository, upload.upload_id) == (PENDING, 0, None)
        gate.open()

    async def test_cancelled_during_database_outage_ends(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("put")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        repository.fail("advance")

        await assert_cancelled(run)
        gate.open()


class TestClaims:
    @pytest.mark.heavy
    async def test_exclusive_delivery_takes_over_processing_job(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, progress=40)

        assert await warmup.run(Delivery(upload.upload_id, exclusive=True)) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)
        assert repository.progress == sorted(repository.progress)
        assert repository.progress[0] == 40

    @pytest.mark.parametrize("found", [COMPLETE, FAILED])
    async def test_exclusive_delivery_does_not_repeat_ended_job(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload, found: JobStatus
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING)
        await repository.advance(upload.upload_id, expect=PROCESSING, to=found)
        store.calls.clear()

        assert await warmup.run(Delivery(upload.upload_id, exclusive=True)) is None

        assert store.calls == []

    async def test_forced_delivery_takes_over_stalled_job(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, progress=40)

        assert await warmup.run(Delivery(upload.upload_id, force=True)) is None
        await let_pass(repository, upload.upload_id, STALLED_AFTER)
        assert await warmup.run(Delivery(upload.upload_id)) is None
        assert await warmup.run(Delivery(upload.upload_id, force=True)) is COMPLETE

    async def test_progress_is_reported_to_the_queue(self, warmup: WarmUp, upload: Upload) -> None:
        heard: list[int] = []

        async def report(progress: int) -> None:
            heard.append(progress)

        await warmup.run(Delivery(upload.upload_id, report=report))

        assert heard == [16, 33, 50, 66, 83, 100]


class TestLost:
    @pytest.mark.parametrize("found", [PROCESSING, COMPLETE, FAILED])
    async def test_unclaimable_job_is_left_alone(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload, found: JobStatus
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, progress=42)
        if found is not PROCESSING:
            await repository.advance(upload.upload_id, expect=PROCESSING, to=found)
        before = await repository.find(upload.upload_id)
        store.calls.clear()

        assert await deliver(warmup.run, upload.upload_id) is None

        assert await repository.find(upload.upload_id) == before
        assert store.calls == []

    async def test_unknown_upload_returns_none(self, warmup: WarmUp, store: CountingStore) -> None:
        assert await deliver(warmup.run, new_upload_id()) is None
        assert store.calls == []

    async def test_upload_in_progress_returns_none(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore
    ) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)

        assert await deliver(warmup.run, upload_id) is None

        assert store.calls == []
        await repository.accept(accepted(upload_id))  # the first upload left no row

    @pytest.mark.promise("E5")
    async def test_concurrent_runs_let_one_claim(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        results = await asyncio.gather(*(deliver(warmup.run, upload.upload_id) for _ in range(2)))

        assert sorted(results, key=str) == [None, COMPLETE]
        assert repository.progress == [16, 33, 50, 66, 83, 100]
        assert store.count("download") == 1

    async def test_job_lost_during_work_is_abandoned(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = repository.hold("record")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        before = set(await sizes_in(store, upload.upload_id))
        await repository.recover()
        gate.open()

        assert await run is None
        assert await status(repository, upload.upload_id) == (PENDING, 0, None)
        assert before <= set(await sizes_in(store, upload.upload_id))  # what is stored is valid for the next worker

    async def test_loser_deletes_nothing_that_the_winner_stored(self, database: Database, upload: Upload) -> None:
        """The loser stores a variant, is taken for dead, and then fails."""

        class Overtaken(WatchedRepository):
            async def record(self, upload_id: UploadId, *arguments: Any, **options: Any) -> None:
                await super().record(upload_id, *arguments, **options)
                await self.advance(upload_id, expect=PROCESSING, to=PROCESSING, worker="winner")

        repository, variant_service = Overtaken(database), ScriptedVariantService(Undecodable("Broken."), after=1)

        assert await WarmUp(repository, variant_service, SIZES).run(Delivery(upload.upload_id)) is None

        assert len(repository.recorded) == 1
        assert variant_service.deleted == []
        _, job = await repository.find(upload.upload_id)
        assert (job.status, job.worker) == (PROCESSING, "winner")

    async def test_running_job_sends_heartbeats(
        self,
        warmup: WarmUp,
        repository: WatchedRepository,
        store: CountingStore,
        upload: Upload,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(heartbeats, "HEARTBEAT", timedelta(milliseconds=200))
        gate = store.hold("put")
        run = asyncio.create_task(warmup.run(Delivery(upload.upload_id)))
        await reached(gate, run)

        await let_pass(repository, upload.upload_id, STALLED_AFTER)
        async with asyncio.timeout(30):
            while (await repository.find(upload.upload_id))[1].is_stalled:
                await repository.called("record_heartbeat")
                await asyncio.sleep(0.01)
        gate.open()

        assert await run is COMPLETE

    @pytest.mark.parametrize("exclusive", [False, True])
    async def test_row_that_cannot_be_read_fails_only_its_own_job(
        self,
        warmup: WarmUp,
        repository: WatchedRepository,
        upload: Upload,
        monkeypatch: pytest.MonkeyPatch,
        exclusive: bool,
    ) -> None:
        """As in a rolling deployment: another worker, of a newer version, is at it."""
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, worker="other")
        with monkeypatch.context() as patched:
            patched.setattr(JobRepository, "find", AsyncMock(side_effect=TypeError("a new column")))
            ended = await warmup.run(Delivery(upload.upload_id, exclusive=exclusive))

        assert ended is (FAILED if exclusive else None)
        assert (await status(repository, upload.upload_id))[0] is (FAILED if exclusive else PROCESSING)
