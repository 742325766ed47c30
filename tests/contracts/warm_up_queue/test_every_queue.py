"""The behaviour of every WarmUpQueue."""

import asyncio

import pytest

from ingest.ingest_errors import CatalogUnavailable, QueueUnavailable
from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import JobStatus
from tests.contracts.queue_harness import COMPLETE, FAILED, PROCESSING, QueueHarness
from tests.redis_server import RedisServer
from tests.waiting import until


class TestEveryQueue:
    async def test_published_job_is_delivered_once(self, harness: QueueHarness) -> None:
        async with harness.open():
            upload_id = await harness.do_one()
            await asyncio.sleep(0.3)

        assert harness.delivered == [upload_id]

    @pytest.mark.promise("E5")
    async def test_publish_twice_is_one_job(self, harness: QueueHarness) -> None:
        upload_ids = [await harness.upload() for _ in range(3)]
        for upload_id in upload_ids * 3:
            await harness.queue.publish(upload_id)
        async with harness.open(concurrency=3):
            for upload_id in upload_ids:
                await harness.queue.publish(upload_id)
            await harness.until(COMPLETE, *upload_ids)
            for upload_id in upload_ids:
                await harness.queue.publish(upload_id)
            await asyncio.sleep(0.3)

        assert sorted(harness.delivered) == sorted(upload_ids)

    async def test_job_published_before_workers_start_is_delivered(self, harness: QueueHarness) -> None:
        upload_ids = [await harness.upload() for _ in range(5)]
        for upload_id in upload_ids:
            await harness.queue.publish(upload_id)
        async with harness.open(concurrency=2):
            await harness.until(COMPLETE, *upload_ids)

        assert sorted(harness.delivered) == sorted(upload_ids)

    async def test_concurrency_limits_deliveries(self, harness: QueueHarness) -> None:
        async def together(_delivery: Delivery) -> JobStatus:
            """Ends only when another delivery has run at the same moment."""
            await until(has_had_two)
            await asyncio.sleep(0.1)
            return COMPLETE

        async def has_had_two() -> bool:
            return harness.most >= 2

        harness.act = together
        upload_ids = [await harness.upload() for _ in range(9)]
        for upload_id in upload_ids:
            await harness.queue.publish(upload_id)
        async with harness.open(concurrency=3):
            await harness.until(COMPLETE, *upload_ids)

        assert 2 <= harness.most <= 3

    async def test_try_again_is_retried(self, harness: QueueHarness) -> None:
        async def at_the_second(_delivery: Delivery) -> JobStatus:
            if len(harness.deliveries) == 1:
                raise TryAgain("store unavailable", 1)
            return COMPLETE

        harness.act = at_the_second
        async with harness.open():
            upload_id = await harness.do_one()

        assert [(delivery.upload_id, delivery.final_attempt) for delivery in harness.deliveries] == [
            (upload_id, False)
        ] * 2

    async def test_failed_job_is_not_retried(self, harness: QueueHarness) -> None:
        async def fail(_delivery: Delivery) -> JobStatus:
            return FAILED

        harness.act = fail
        async with harness.open():
            upload_id = await harness.do_one(FAILED)
            await harness.queue.publish(upload_id)
            await asyncio.sleep(1.5)  # the first retry would come after one second

        assert harness.delivered == [upload_id]
        assert await harness.status(upload_id) is FAILED

    @pytest.mark.slow
    async def test_stopping_worker_hands_its_jobs_back(self, harness: QueueHarness) -> None:
        begun, free = asyncio.Event(), asyncio.Event()

        async def wait(_delivery: Delivery) -> JobStatus:
            begun.set()
            await free.wait()
            return COMPLETE

        harness.act = wait
        upload_ids = [await harness.upload() for _ in range(3)]
        for upload_id in upload_ids:
            await harness.queue.publish(upload_id)
        async with harness.open():
            await begun.wait()
        assert harness.in_hand == 0
        assert PROCESSING not in {await harness.status(upload_id) for upload_id in upload_ids}
        assert len(harness.deliveries) == 1

        free.set()
        async with harness.open(concurrency=3):
            await harness.until(COMPLETE, *upload_ids)

    async def test_database_outage_loses_no_job(self, harness: QueueHarness) -> None:
        times = 0

        async def away_at_first(delivery: Delivery) -> JobStatus | None:
            nonlocal times
            times += 1
            if times == 1:
                raise CatalogUnavailable
            return await harness.handle(delivery)

        async with harness.open(handle=away_at_first):
            await harness.do_one()

        assert times == 2


async def test_lengths_come_from_redis_only(local: LocalQueue, bullmq: QueueHarness, redis: RedisServer) -> None:
    assert await local.lengths() == {}
    assert await bullmq.queue.lengths() == {"waiting": 0, "active": 0, "delayed": 0, "failed": 0}
    for _ in range(2):
        await bullmq.queue.publish(await bullmq.upload())
    assert await bullmq.queue.lengths() == {"waiting": 2, "active": 0, "delayed": 0, "failed": 0}

    redis.pause()
    with pytest.raises(QueueUnavailable):
        await bullmq.queue.lengths()
