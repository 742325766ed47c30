"""The reconciler restores jobs that the queue lost from the database."""

import asyncio
from datetime import timedelta

import pytest

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.reconciler import Reconciler
from ingest.records import JobStatus
from tests.contracts.queue_harness import (
    COMPLETE,
    FAILED,
    PENDING,
    PROCESSING,
    QueueHarness,
    given_up,
    opened,
    state,
    take_and_die,
)
from tests.redis_server import RedisServer
from tests.waiting import until


class TestReconciler:
    async def reconcile(self, bullmq: QueueHarness) -> None:
        reconciler = Reconciler(bullmq.repository, bullmq.queue)
        for status in (PENDING, PROCESSING):
            for job in await bullmq.repository.find_stalled(status, idle=timedelta(0)):
                await reconciler.reconcile(job)

    async def test_job_lost_by_redis_is_republished(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        upload_ids = [await bullmq.upload() for _ in range(3)]
        for upload_id in upload_ids:
            await bullmq.queue.publish(upload_id)
        redis.empty()

        await self.reconcile(bullmq)

        async with bullmq.open(concurrency=3):
            await bullmq.until(COMPLETE, *upload_ids)
        assert sorted(bullmq.delivered) == sorted(upload_ids)

    async def test_waiting_job_is_delivered_once(self, bullmq: QueueHarness) -> None:
        upload_id = await bullmq.upload()
        await bullmq.queue.publish(upload_id)
        for _ in range(3):
            await self.reconcile(bullmq)
        async with bullmq.open():
            await bullmq.until(COMPLETE, upload_id)
            await self.reconcile(bullmq)
            await asyncio.sleep(0.3)

        assert bullmq.delivered == [upload_id]

    @pytest.mark.promise("E4")
    async def test_job_abandoned_by_the_queue_fails(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        """After too many stalls, whether the catalog has the job as pending or as processing."""
        upload_ids = [await bullmq.upload() for _ in range(2)]
        await bullmq.repository.advance(upload_ids[0], expect=PENDING, to=PROCESSING)
        for upload_id in upload_ids:
            assert await bullmq.queue.failure_reason(upload_id) is None
            await bullmq.queue.publish(upload_id)
            assert await bullmq.queue.failure_reason(upload_id) is None
            await take_and_die(redis, upload_id)
            with redis.client() as client:
                client.hset(f"bull:image-processing:{upload_id}", "stc", 3)
        async with bullmq.open():
            for upload_id in upload_ids:
                await until(lambda upload_id=upload_id: given_up(bullmq, upload_id))
            assert "stalled more than allowable limit" in str(await bullmq.queue.failure_reason(upload_ids[0]))

            for _ in range(2):
                await self.reconcile(bullmq)

        assert bullmq.deliveries == []
        for upload_id in upload_ids:
            _, job = await bullmq.repository.find(upload_id)
            assert (job.status, job.error) == (
                FAILED,
                "The warm-up was stopped: its worker crashed several times.",
            )

    async def test_job_that_failed_in_database_outage_completes(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        """A database outage longer than all retries must not fail the job."""
        upload_id = await bullmq.upload()

        async def failing(_delivery: Delivery) -> JobStatus | None:
            raise CatalogUnavailable

        async with bullmq.open(handle=failing), opened(redis) as (queue, _):
            await queue.add("warm-up", {}, {"jobId": upload_id, "attempts": 1})
            await state(queue, upload_id, "failed")

        await self.reconcile(bullmq)

        async with bullmq.open():
            await bullmq.until(COMPLETE, upload_id)
