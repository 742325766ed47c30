"""What the queue has forgotten comes back from the database."""

import asyncio
from datetime import timedelta

import pytest

from ingest.errors import CatalogUnavailable
from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.reconciler import Reconciler
from ingest.records import JobStatus
from tests.contracts.waiting import until
from tests.contracts.workshop import (
    COMPLETE,
    FAILED,
    PENDING,
    PROCESSING,
    Workshop,
    given_up,
    opened,
    state,
    take_and_die,
)
from tests.redis_server import RedisServer


class TestReconciler:
    async def reconcile(self, factory: Workshop) -> None:
        reconciler = Reconciler(factory.repository, factory.queue)
        for job in await factory.repository.find_stalled(timedelta(0)):
            await reconciler.reconcile(job)

    async def test_job_lost_by_redis_is_republished(self, factory: Workshop, redis: RedisServer) -> None:
        upload_ids = [await factory.upload() for _ in range(3)]
        for upload_id in upload_ids:
            await factory.queue.publish(upload_id)
        redis.empty()

        await self.reconcile(factory)

        async with factory.open(concurrency=3):
            await factory.until(COMPLETE, *upload_ids)
        assert sorted(factory.delivered) == sorted(upload_ids)

    async def test_waiting_job_is_delivered_once(self, factory: Workshop) -> None:
        upload_id = await factory.upload()
        await factory.queue.publish(upload_id)
        for _ in range(3):
            await self.reconcile(factory)
        async with factory.open():
            await factory.until(COMPLETE, upload_id)
            await self.reconcile(factory)
            await asyncio.sleep(0.3)

        assert factory.delivered == [upload_id]

    @pytest.mark.promise("E4")
    async def test_job_abandoned_by_the_queue_fails(self, factory: Workshop, redis: RedisServer) -> None:
        """Where it stalled too often: left waiting by the catalogue, or in the hand of a worker that died."""
        upload_ids = [await factory.upload() for _ in range(2)]
        await factory.repository.advance(upload_ids[0], expect=PENDING, to=PROCESSING)
        for upload_id in upload_ids:
            assert await factory.queue.failure_reason(upload_id) is None
            await factory.queue.publish(upload_id)
            assert await factory.queue.failure_reason(upload_id) is None
            await take_and_die(redis, upload_id)
            with redis.client() as client:
                client.hset(f"bull:image-processing:{upload_id}", "stc", 3)
        async with factory.open():
            for upload_id in upload_ids:
                await until(lambda upload_id=upload_id: given_up(factory, upload_id))
            assert "stalled more than allowable limit" in str(await factory.queue.failure_reason(upload_ids[0]))

            for _ in range(2):
                await self.reconcile(factory)

        assert factory.deliveries == []
        for upload_id in upload_ids:
            _, job = await factory.repository.find(upload_id)
            assert (job.status, job.error) == (
                FAILED,
                "The warm-up was stopped: its worker crashed several times.",
            )

    async def test_job_that_failed_in_database_outage_completes(self, factory: Workshop, redis: RedisServer) -> None:
        """A database that was away for longer than all tries took is no fault of the picture."""
        upload_id = await factory.upload()

        async def away(_delivery: Delivery) -> JobStatus | None:
            raise CatalogUnavailable

        async with factory.open(handle=away), opened(redis) as (queue, _):
            await queue.add("warm-up", {}, {"jobId": upload_id, "attempts": 1})
            await state(queue, upload_id, "failed")

        await self.reconcile(factory)

        async with factory.open():
            await factory.until(COMPLETE, upload_id)
