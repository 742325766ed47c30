"""What every WarmupQueue promises to those who publish and to those who work; then what is BullMQ's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bullmq import Queue
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs import JobStatus, LostJob
from ingest.queue import bullmq
from ingest.queue.base import Delivery, TryAgain, WarmupQueue
from ingest.queue.bullmq import BullmqQueue
from ingest.queue.local import LocalQueue
from ingest.reconciler import Reconciler
from proxy.errors import CatalogUnavailable, QueueUnavailable
from proxy.model import UploadId, new_upload_id
from tests.redis_server import RedisServer
from tests.unit.ingest.fakes import accepted

GUARD = 30  # seconds until a test gives up waiting
SOON = 5  # seconds; a queue that is away is told within them
PENDING, PROCESSING, COMPLETE, FAILED = JobStatus

Act = Callable[[Delivery], Awaitable[JobStatus | None]]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(GUARD):
        while not await condition():
            await asyncio.sleep(0.02)


async def state(queue: Queue, job_id: str, wanted: str) -> None:
    """Waits until the job is there."""

    async def has_come() -> bool:
        return bool(await queue.getJobState(job_id) == wanted)

    await until(has_come)


async def succeed(_delivery: Delivery) -> JobStatus:
    return COMPLETE


@dataclass
class Workshop:
    """A queue, the catalogue that is its truth, and a handler that keeps the catalogue as the warm-up does."""

    queue: WarmupQueue
    repository: JobRepository
    act: Act = succeed
    deliveries: list[Delivery] = field(default_factory=list)
    in_hand: int = 0
    most: int = 0

    @property
    def delivered(self) -> list[UploadId]:
        return [delivery.upload_id for delivery in self.deliveries]

    async def upload(self) -> UploadId:
        """An accepted upload that nobody has announced."""
        upload_id = new_upload_id()
        await self.repository.begin(upload_id)
        await self.repository.accept(accepted(upload_id))
        return upload_id

    async def status(self, upload_id: UploadId) -> JobStatus:
        return (await self.repository.find(upload_id))[1].status

    async def handle(self, delivery: Delivery) -> JobStatus | None:
        status = await self.status(delivery.upload_id)
        try:
            if status is not PENDING and not (delivery.alone and status is PROCESSING):
                return None
            await self.repository.advance(delivery.upload_id, expect=status, to=PROCESSING)
        except LostJob:
            return None
        self.deliveries.append(delivery)
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        end: JobStatus | None = PENDING  # handed back, however this try ends
        try:
            end = await self.act(delivery)
        finally:
            self.in_hand -= 1
            await self.repository.advance(delivery.upload_id, expect=PROCESSING, to=end or PENDING)
        return end

    @asynccontextmanager
    async def open(self, concurrency: int = 1) -> AsyncIterator[None]:
        """Somebody works, until the end of the block."""
        work = asyncio.create_task(self.queue.consume(self.handle, concurrency))
        try:
            yield
        finally:
            work.cancel()
            async with asyncio.timeout(GUARD):
                with suppress(asyncio.CancelledError):
                    await work

    async def until(self, status: JobStatus, *upload_ids: UploadId) -> None:
        async def has_come() -> bool:
            return {await self.status(upload_id) for upload_id in upload_ids} == {status}

        await until(has_come)


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[JobRepository]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    await database.migrate()
    yield JobRepository(database)
    await database.close()


@pytest.fixture
async def local(repository: JobRepository) -> LocalQueue:
    return LocalQueue(repository)


@pytest.fixture
async def bullmq_queue(redis: RedisServer) -> AsyncIterator[BullmqQueue]:
    queue = BullmqQueue(redis.url)
    yield queue
    redis.resume()
    await queue.close()


@pytest.fixture(params=["local", "bullmq_queue"])
def workshop(request: pytest.FixtureRequest, repository: JobRepository) -> Workshop:
    return Workshop(request.getfixturevalue(request.param), repository)


@pytest.fixture
def factory(bullmq_queue: BullmqQueue, repository: JobRepository) -> Workshop:
    """A workshop with BullMQ."""
    return Workshop(bullmq_queue, repository)


class TestEveryQueue:
    async def test_what_is_published_is_brought_once(self, workshop: Workshop) -> None:
        upload_id = await workshop.upload()
        async with workshop.open():
            await workshop.queue.publish(upload_id)
            await workshop.until(COMPLETE, upload_id)
            await asyncio.sleep(0.3)

        assert workshop.delivered == [upload_id]

    async def test_a_repeat_is_one_job(self, workshop: Workshop) -> None:
        upload_ids = [await workshop.upload() for _ in range(3)]
        for upload_id in upload_ids * 3:
            await workshop.queue.publish(upload_id)
        async with workshop.open(concurrency=3):
            for upload_id in upload_ids:
                await workshop.queue.publish(upload_id)
            await workshop.until(COMPLETE, *upload_ids)
            for upload_id in upload_ids:
                await workshop.queue.publish(upload_id)
            await asyncio.sleep(0.3)

        assert sorted(workshop.delivered) == sorted(upload_ids)

    async def test_what_was_published_before_anybody_worked_is_brought(self, workshop: Workshop) -> None:
        upload_ids = [await workshop.upload() for _ in range(5)]
        for upload_id in upload_ids:
            await workshop.queue.publish(upload_id)
        async with workshop.open(concurrency=2):
            await workshop.until(COMPLETE, *upload_ids)

        assert sorted(workshop.delivered) == sorted(upload_ids)

    async def test_no_more_at_a_time_than_there_are_hands(self, workshop: Workshop) -> None:
        async def slowly(_delivery: Delivery) -> JobStatus:
            await asyncio.sleep(0.1)
            return COMPLETE

        workshop.act = slowly
        upload_ids = [await workshop.upload() for _ in range(9)]
        for upload_id in upload_ids:
            await workshop.queue.publish(upload_id)
        async with workshop.open(concurrency=3):
            await workshop.until(COMPLETE, *upload_ids)

        assert 2 <= workshop.most <= 3

    async def test_what_may_pass_is_tried_again(self, workshop: Workshop) -> None:
        async def at_the_second(_delivery: Delivery) -> JobStatus:
            if len(workshop.deliveries) == 1:
                raise TryAgain("the store is away")
            return COMPLETE

        workshop.act = at_the_second
        upload_id = await workshop.upload()
        async with workshop.open():
            await workshop.queue.publish(upload_id)
            await workshop.until(COMPLETE, upload_id)

        assert [(delivery.upload_id, delivery.last) for delivery in workshop.deliveries] == [(upload_id, False)] * 2

    async def test_what_failed_is_not_tried_again(self, workshop: Workshop) -> None:
        async def fail(_delivery: Delivery) -> JobStatus:
            return FAILED

        workshop.act = fail
        upload_id = await workshop.upload()
        async with workshop.open():
            await workshop.queue.publish(upload_id)
            await workshop.until(FAILED, upload_id)
            await workshop.queue.publish(upload_id)
            await asyncio.sleep(1.5)  # the first retry would come after one second

        assert workshop.delivered == [upload_id]
        assert await workshop.status(upload_id) is FAILED

    async def test_who_stops_leaves_nothing_in_hand_and_loses_nothing(self, workshop: Workshop) -> None:
        begun = asyncio.Event()

        async def slowly(_delivery: Delivery) -> JobStatus:
            begun.set()
            await asyncio.sleep(0.5)
            return COMPLETE

        workshop.act = slowly
        upload_ids = [await workshop.upload() for _ in range(3)]
        for upload_id in upload_ids:
            await workshop.queue.publish(upload_id)
        async with workshop.open():
            await begun.wait()
        assert workshop.in_hand == 0
        assert PROCESSING not in {await workshop.status(upload_id) for upload_id in upload_ids}
        assert len(workshop.deliveries) == 1

        async with workshop.open(concurrency=3):
            await workshop.until(COMPLETE, *upload_ids)

    async def test_a_database_that_is_away_for_a_while_costs_no_job(self, workshop: Workshop) -> None:
        handle, times = workshop.handle, 0

        async def away_at_first(delivery: Delivery) -> JobStatus | None:
            nonlocal times
            times += 1
            if times == 1:
                raise CatalogUnavailable
            return await handle(delivery)

        workshop.handle = away_at_first  # type: ignore[method-assign]  # of this one alone
        upload_id = await workshop.upload()
        async with workshop.open():
            await workshop.queue.publish(upload_id)
            await workshop.until(COMPLETE, upload_id)

        assert times == 2


async def given_up(workshop: Workshop, upload_id: UploadId) -> bool:
    return await workshop.queue.gave_up(upload_id) is not None


class TestBullmq:
    @asynccontextmanager
    async def opened(self, redis: RedisServer) -> AsyncIterator[tuple[Queue, Redis]]:
        """The queue as a dashboard or a producer of any language has it."""
        connection = Redis.from_url(redis.url, decode_responses=True)
        yield Queue("image-processing", {"connection": connection}), connection
        await connection.aclose()

    async def test_the_job_is_where_dashboards_look_for_it(self, factory: Workshop, redis: RedisServer) -> None:
        upload_id = await factory.upload()
        await factory.queue.publish(upload_id)

        async with self.opened(redis) as (queue, connection):
            assert await queue.getJobState(upload_id) == "waiting"
            job = await connection.hgetall(f"bull:image-processing:{upload_id}")
        assert json.loads(job["data"]) == {"uploadId": upload_id}

    async def test_progress_is_in_its_hash(self, factory: Workshop, redis: RedisServer) -> None:
        async def report(delivery: Delivery) -> JobStatus:
            for progress in (0, 50, 100):
                await delivery.report(progress)
            return COMPLETE

        factory.act = report
        upload_id = await factory.upload()
        async with factory.open():
            await factory.queue.publish(upload_id)
            await factory.until(COMPLETE, upload_id)
            async with self.opened(redis) as (queue, connection):
                await state(queue, upload_id, "completed")
                job = await connection.hgetall(f"bull:image-processing:{upload_id}")
        assert (job["progress"], json.loads(job["returnvalue"])) == ("100", "complete")

    @pytest.mark.parametrize("data", [{}, {"uploadId": "another"}, ["any"], "text", None])
    async def test_a_job_by_any_producer_is_done(self, factory: Workshop, redis: RedisServer, data: Any) -> None:
        upload_id = await factory.upload()
        async with factory.open(), self.opened(redis) as (queue, _):
            await queue.add("resize", data, {"jobId": upload_id})
            await factory.until(COMPLETE, upload_id)

        assert [(delivery.upload_id, delivery.last) for delivery in factory.deliveries] == [(upload_id, True)]

    @pytest.mark.parametrize("job_id", ["1", "8F14E45F-CEEA-467F-A8B3-2F1C0F5B8E2A", "../originals"])
    async def test_a_job_whose_id_is_no_uploads_fails_for_good(
        self, factory: Workshop, redis: RedisServer, job_id: str
    ) -> None:
        async with factory.open(), self.opened(redis) as (queue, _):
            await queue.add("resize", {}, {"jobId": job_id if job_id != "1" else None, "attempts": 5})
            await state(queue, job_id, "failed")
            job = await queue.getJob(job_id)
        assert job.failedReason == "the job's id is not an upload's"
        assert factory.deliveries == []

    async def test_the_last_try_is_said_to_be_the_last(self, factory: Workshop, redis: RedisServer) -> None:
        async def never(delivery: Delivery) -> JobStatus:
            if delivery.last:
                return FAILED
            raise TryAgain("the store is away")

        factory.act = never
        upload_id = await factory.upload()
        async with factory.open(), self.opened(redis) as (queue, _):
            await queue.add("warm-up", {}, {"jobId": upload_id, "attempts": 2})
            await factory.until(FAILED, upload_id)

        assert [delivery.last for delivery in factory.deliveries] == [False, True]
        assert bullmq.ATTEMPTS == 6

    async def test_a_job_of_a_dead_worker_is_brought_to_the_next(self, factory: Workshop, redis: RedisServer) -> None:
        upload_id = await factory.upload()
        await factory.queue.publish(upload_id)
        await self.take_and_die(redis, upload_id)
        await factory.repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        async with factory.open():
            await factory.until(COMPLETE, upload_id)

        assert [(delivery.upload_id, delivery.alone) for delivery in factory.deliveries] == [(upload_id, True)]

    async def take_and_die(self, redis: RedisServer, upload_id: UploadId) -> None:
        """What a worker leaves that took the job and was killed: active, with a lock that is not renewed."""
        async with self.opened(redis) as (queue, connection):
            await connection.lrem("bull:image-processing:wait", 0, upload_id)
            await connection.lpush("bull:image-processing:active", upload_id)
            assert await queue.getJobState(upload_id) == "active"

    async def test_a_job_that_redis_forgot_meanwhile_ends_all_the_same(
        self, factory: Workshop, redis: RedisServer
    ) -> None:
        async def report(delivery: Delivery) -> JobStatus:
            redis.empty()
            for progress in (50, 100):
                await delivery.report(progress)
                await asyncio.sleep(0.1)
            return COMPLETE

        factory.act = report
        upload_id = await factory.upload()
        async with factory.open():
            await factory.queue.publish(upload_id)
            await factory.until(COMPLETE, upload_id)

        assert factory.delivered == [upload_id]

    @pytest.mark.parametrize("trouble", [RedisServer.kill, RedisServer.pause], ids=["killed", "paused"])
    async def test_work_in_hand_does_not_wait_for_redis(
        self, factory: Workshop, redis: RedisServer, trouble: Callable[[RedisServer], None]
    ) -> None:
        async def report(delivery: Delivery) -> JobStatus:
            trouble(redis)
            async with asyncio.timeout(SOON):
                for progress in range(0, 101, 10):
                    await delivery.report(progress)
            return COMPLETE

        factory.act = report
        upload_id = await factory.upload()
        async with factory.open():
            await factory.queue.publish(upload_id)
            await factory.until(COMPLETE, upload_id)
            redis.refresh()

    async def test_work_that_takes_too_long_is_cut_short_when_the_worker_stops(
        self, factory: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bullmq, "_GRACE", 1.0)
        begun = asyncio.Event()

        async def for_ever(_delivery: Delivery) -> JobStatus:
            begun.set()
            await asyncio.Event().wait()
            return COMPLETE

        factory.act = for_ever
        upload_id = await factory.upload()
        async with factory.open():
            await factory.queue.publish(upload_id)
            await begun.wait()

        assert factory.in_hand == 0
        assert await factory.status(upload_id) is PENDING
        factory.act = succeed
        async with factory.open():
            await factory.until(COMPLETE, upload_id)


class TestRedisAway:
    @pytest.mark.parametrize(
        "trouble",
        [RedisServer.kill, RedisServer.pause, RedisServer.fill],
        ids=["killed", "paused", "full"],
    )
    async def test_publishing_says_so_and_works_again_by_itself(
        self, factory: Workshop, redis: RedisServer, trouble: Callable[[RedisServer], None]
    ) -> None:
        before, after = await factory.upload(), await factory.upload()
        await factory.queue.publish(before)
        trouble(redis)
        async with asyncio.timeout(SOON):
            with pytest.raises(QueueUnavailable):
                await factory.queue.publish(after)
        if trouble is not RedisServer.fill:  # it still reads
            async with asyncio.timeout(SOON):
                with pytest.raises(QueueUnavailable):
                    await factory.queue.gave_up(before)

        redis.refresh()

        await factory.queue.publish(after)
        async with factory.open():
            await factory.until(COMPLETE, after)

    async def test_a_worker_that_was_turned_away_goes_on_when_it_is_let_in(
        self, repository: JobRepository, redis: RedisServer
    ) -> None:
        """As by a Redis whose rights are mended while we run, or that was away for longer than BullMQ has patience."""
        with redis.client() as client:
            client.acl_setuser("worker", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-client"])
        queue = BullmqQueue(redis.url.replace("//", "//worker:secret@"))
        workshop = Workshop(queue, repository)
        upload_id = await workshop.upload()
        await queue.publish(upload_id)
        with capture_logs() as logs:
            async with workshop.open():
                await asyncio.sleep(0.5)
                assert workshop.deliveries == []
                with redis.client() as client:
                    client.acl_setuser("worker", enabled=True, commands=["+@all"])
                await workshop.until(COMPLETE, upload_id)
        assert "the queue complains" in [entry["event"] for entry in logs]
        await queue.close()

    @pytest.mark.parametrize("trouble", [RedisServer.kill, RedisServer.pause], ids=["killed", "paused"])
    async def test_a_worker_goes_on_when_it_is_back(
        self, factory: Workshop, redis: RedisServer, trouble: Callable[[RedisServer], None]
    ) -> None:
        upload_id = await factory.upload()
        with capture_logs():
            async with factory.open():
                await asyncio.sleep(0.2)
                trouble(redis)
                await asyncio.sleep(2)
                redis.refresh()
                await factory.queue.publish(upload_id)
                await factory.until(COMPLETE, upload_id)


class TestReconciler:
    async def reconcile(self, factory: Workshop) -> None:
        reconciler = Reconciler(factory.repository, factory.queue)
        for job in await factory.repository.overdue(timedelta(0)):
            await reconciler.reconcile(job)

    async def test_what_redis_forgot_is_published_again(self, factory: Workshop, redis: RedisServer) -> None:
        upload_ids = [await factory.upload() for _ in range(3)]
        for upload_id in upload_ids:
            await factory.queue.publish(upload_id)
        redis.empty()

        await self.reconcile(factory)

        async with factory.open(concurrency=3):
            await factory.until(COMPLETE, *upload_ids)
        assert sorted(factory.delivered) == sorted(upload_ids)

    async def test_what_only_waits_is_none_the_worse_for_it(self, factory: Workshop) -> None:
        upload_id = await factory.upload()
        await factory.queue.publish(upload_id)
        for _ in range(3):
            await self.reconcile(factory)
        async with factory.open():
            await factory.until(COMPLETE, upload_id)
            await self.reconcile(factory)
            await asyncio.sleep(0.3)

        assert factory.delivered == [upload_id]

    async def test_what_the_queue_gave_up_ends_as_failed(self, factory: Workshop, redis: RedisServer) -> None:
        """Where it stalled too often: left waiting by the catalogue, or in the hand of a worker that died."""
        upload_ids = [await factory.upload() for _ in range(2)]
        await factory.repository.advance(upload_ids[0], expect=PENDING, to=PROCESSING)
        for upload_id in upload_ids:
            assert await factory.queue.gave_up(upload_id) is None
            await factory.queue.publish(upload_id)
            assert await factory.queue.gave_up(upload_id) is None
            await TestBullmq().take_and_die(redis, upload_id)
            with redis.client() as client:
                client.hset(f"bull:image-processing:{upload_id}", "stc", 3)
        async with factory.open():
            for upload_id in upload_ids:
                await until(lambda upload_id=upload_id: given_up(factory, upload_id))
            assert "stalled more than allowable limit" in str(await factory.queue.gave_up(upload_ids[0]))

            for _ in range(2):
                await self.reconcile(factory)

        assert factory.deliveries == []
        for upload_id in upload_ids:
            _, job = await factory.repository.find(upload_id)
            assert (job.status, job.error) == (FAILED, "The warm-up was given up: it broke its worker several times.")

    async def test_what_failed_for_want_of_the_database_is_done_after_all(
        self, factory: Workshop, redis: RedisServer
    ) -> None:
        """A database that was away for longer than all tries took is no fault of the picture."""
        upload_id = await factory.upload()
        handle = factory.handle

        async def away(_delivery: Delivery) -> JobStatus | None:
            raise CatalogUnavailable

        factory.handle = away  # type: ignore[method-assign]  # of this one alone
        async with factory.open(), TestBullmq().opened(redis) as (queue, _):
            await queue.add("warm-up", {}, {"jobId": upload_id, "attempts": 1})
            await state(queue, upload_id, "failed")
        factory.handle = handle  # type: ignore[method-assign]  # of this one alone

        await self.reconcile(factory)

        async with factory.open():
            await factory.until(COMPLETE, upload_id)


async def test_lengths_are_redis_own_word_and_the_database_has_none(
    local: LocalQueue, factory: Workshop, redis: RedisServer
) -> None:
    assert await local.lengths() == {}
    assert await factory.queue.lengths() == {"waiting": 0, "active": 0, "delayed": 0, "failed": 0}
    for _ in range(2):
        await factory.queue.publish(await factory.upload())
    assert await factory.queue.lengths() == {"waiting": 2, "active": 0, "delayed": 0, "failed": 0}

    redis.pause()
    with pytest.raises(QueueUnavailable):
        await factory.queue.lengths()
