"""What every queue of warm-ups promises."""

import asyncio

import pytest

from ingest.errors import CatalogUnavailable, QueueUnavailable
from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import JobStatus
from tests.contracts.workshop import COMPLETE, FAILED, PROCESSING, Workshop
from tests.redis_server import RedisServer


class TestEveryQueue:
    async def test_published_job_is_delivered_once(self, workshop: Workshop) -> None:
        async with workshop.open():
            upload_id = await workshop.do_one()
            await asyncio.sleep(0.3)

        assert workshop.delivered == [upload_id]

    @pytest.mark.promise("E5")
    async def test_publishing_twice_is_one_job(self, workshop: Workshop) -> None:
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

    async def test_job_published_before_workers_start_is_delivered(self, workshop: Workshop) -> None:
        upload_ids = [await workshop.upload() for _ in range(5)]
        for upload_id in upload_ids:
            await workshop.queue.publish(upload_id)
        async with workshop.open(concurrency=2):
            await workshop.until(COMPLETE, *upload_ids)

        assert sorted(workshop.delivered) == sorted(upload_ids)

    async def test_concurrency_limits_deliveries(self, workshop: Workshop) -> None:
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

    async def test_try_again_is_retried(self, workshop: Workshop) -> None:
        async def at_the_second(_delivery: Delivery) -> JobStatus:
            if len(workshop.deliveries) == 1:
                raise TryAgain("the store is away")
            return COMPLETE

        workshop.act = at_the_second
        async with workshop.open():
            upload_id = await workshop.do_one()

        assert [(delivery.upload_id, delivery.final_attempt) for delivery in workshop.deliveries] == [
            (upload_id, False)
        ] * 2

    async def test_failed_job_is_not_retried(self, workshop: Workshop) -> None:
        async def fail(_delivery: Delivery) -> JobStatus:
            return FAILED

        workshop.act = fail
        async with workshop.open():
            upload_id = await workshop.do_one(FAILED)
            await workshop.queue.publish(upload_id)
            await asyncio.sleep(1.5)  # the first retry would come after one second

        assert workshop.delivered == [upload_id]
        assert await workshop.status(upload_id) is FAILED

    async def test_stopping_worker_hands_its_jobs_back(self, workshop: Workshop) -> None:
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

    async def test_database_outage_loses_no_job(self, workshop: Workshop) -> None:
        times = 0

        async def away_at_first(delivery: Delivery) -> JobStatus | None:
            nonlocal times
            times += 1
            if times == 1:
                raise CatalogUnavailable
            return await workshop.handle(delivery)

        async with workshop.open(handle=away_at_first):
            await workshop.do_one()

        assert times == 2


async def test_lengths_come_from_redis_only(local: LocalQueue, factory: Workshop, redis: RedisServer) -> None:
    assert await local.lengths() == {}
    assert await factory.queue.lengths() == {"waiting": 0, "active": 0, "delayed": 0, "failed": 0}
    for _ in range(2):
        await factory.queue.publish(await factory.upload())
    assert await factory.queue.lengths() == {"waiting": 2, "active": 0, "delayed": 0, "failed": 0}

    redis.pause()
    with pytest.raises(QueueUnavailable):
        await factory.queue.lengths()
