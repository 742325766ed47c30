"""BullMQ specifics: its jobs, its retries, and Redis outages."""

import asyncio
import json
from collections.abc import Callable
from time import time
from typing import Any

import pytest
from bullmq.worker import default_maximum_block_timeout
from redis.asyncio.connection import parse_url
from structlog.testing import capture_logs

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import QueueUnavailable
from ingest.jobs.queue import bullmq_queue
from ingest.jobs.queue.bullmq_queue import BullmqQueue, for_blocking
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import JobStatus
from proxy.model import new_upload_id
from tests.contracts.queue_harness import (
    COMPLETE,
    FAILED,
    PENDING,
    PROCESSING,
    SOON,
    QueueHarness,
    installation_id,
    opened,
    state,
    succeed,
    take_and_die,
)
from tests.redis_server import RedisServer


@pytest.mark.parametrize("url", ["redis://redis:6379/1", "rediss://:secret@redis/0?ssl_cert_reqs=none"])
def test_worker_connection_outlasts_bullmqs_longest_wait(url: str) -> None:
    assert parse_url(for_blocking(url)) == parse_url(url) | {"socket_timeout": 12.0}
    assert default_maximum_block_timeout < 12


class TestBullmq:
    async def test_job_is_visible_to_dashboards(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        upload_id = await bullmq.upload()
        await bullmq.queue.publish(upload_id)

        async with opened(redis) as (queue, connection):
            assert await queue.getJobState(upload_id) == "waiting"
            job = await connection.hgetall(f"bull:image-processing:{upload_id}")
        assert json.loads(job["data"]) == {"uploadId": upload_id, "installation": "this-installation"}

    async def test_progress_is_stored_in_the_job_hash(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        async def report(delivery: Delivery) -> JobStatus:
            for progress in (0, 50, 100):
                await delivery.report(progress)
            return COMPLETE

        bullmq.act = report
        async with bullmq.open():
            upload_id = await bullmq.do_one()
            async with opened(redis) as (queue, connection):
                await state(queue, upload_id, "completed")
                job = await connection.hgetall(f"bull:image-processing:{upload_id}")
        assert (job["progress"], json.loads(job["returnvalue"])) == ("100", "complete")

    @pytest.mark.parametrize("data", [{}, {"uploadId": "another"}, ["any"], "text", None])
    async def test_job_of_another_producer_is_delivered(
        self, bullmq: QueueHarness, redis: RedisServer, data: Any
    ) -> None:
        upload_id = await bullmq.upload()
        async with bullmq.open(), opened(redis) as (queue, _):
            await queue.add("resize", data, {"jobId": upload_id})
            await bullmq.until(COMPLETE, upload_id)

        assert [(delivery.upload_id, delivery.final_attempt) for delivery in bullmq.deliveries] == [(upload_id, True)]

    @pytest.mark.parametrize("job_id", ["1", "8F14E45F-CEEA-467F-A8B3-2F1C0F5B8E2A", "../originals"])
    async def test_job_with_invalid_id_fails_without_retry(
        self, bullmq: QueueHarness, redis: RedisServer, job_id: str
    ) -> None:
        async with bullmq.open(), opened(redis) as (queue, _):
            await queue.add("resize", {}, {"jobId": job_id if job_id != "1" else None, "attempts": 5})
            await state(queue, job_id, "failed")
            job = await queue.getJob(job_id)
        assert job.failedReason == "neither the job id nor data.uploadId is an upload id"
        assert bullmq.deliveries == []

    async def test_job_without_an_id_of_its_own_names_the_upload_in_its_data(
        self, bullmq: QueueHarness, redis: RedisServer
    ) -> None:
        upload_id = await bullmq.upload()
        async with bullmq.open(), opened(redis) as (queue, _):
            await queue.add("resize", {"uploadId": upload_id}, {})
            await bullmq.until(COMPLETE, upload_id)

        assert [(delivery.upload_id, delivery.exclusive) for delivery in bullmq.deliveries] == [(upload_id, False)]

    async def test_job_of_an_unknown_upload_fails_with_a_reason(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        unknown = new_upload_id()
        async with bullmq.open(), opened(redis) as (queue, _):
            await queue.add("resize", {}, {"jobId": unknown, "attempts": 5})
            await state(queue, unknown, "failed")
            job = await queue.getJob(unknown)

        assert (job.failedReason, job.attemptsMade) == ("No image was uploaded under this id, or it was deleted.", 1)

    async def test_job_of_another_installation_is_left_and_reported_once(
        self, bullmq: QueueHarness, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bullmq_queue, "_FOREIGN_DELAY", 0.3)
        theirs, ours = new_upload_id(), await bullmq.upload()
        with capture_logs() as logs:
            async with bullmq.open(), opened(redis) as (queue, _):
                await queue.add("warm-up", {"uploadId": theirs, "installation": "another"}, {"jobId": theirs})
                await state(queue, theirs, "delayed")
                await asyncio.sleep(1)
                await bullmq.queue.publish(ours)
                await bullmq.until(COMPLETE, ours)
                await state(queue, theirs, "delayed")
                job = await queue.getJob(theirs)

        assert (bullmq.delivered, job.attemptsMade) == ([ours], 0)
        [warning] = [entry for entry in logs if "QUEUE_PREFIX" in entry["event"]]
        assert warning["error"] == f"job {theirs} of installation another"

    async def test_installations_are_those_whose_jobs_of_today_are_in_the_queue(
        self, bullmq: QueueHarness, bullmq_queue: BullmqQueue, redis: RedisServer
    ) -> None:
        async with bullmq.open():
            await bullmq.do_one()
        assert await bullmq_queue.installations() == {"this-installation"}
        async with opened(redis) as (queue, _):
            for owner, age in (("another", 3600), ("former", 90_000), (None, 0)):
                data = {"installation": owner} if owner else "text"
                await queue.add("warm-up", data, {"jobId": new_upload_id(), "timestamp": round((time() - age) * 1000)})

        assert await bullmq_queue.installations() == {"this-installation", "another"}

    async def test_queues_with_other_prefixes_are_apart(
        self, bullmq: QueueHarness, repository: JobRepository, redis: RedisServer
    ) -> None:
        other = BullmqQueue(redis.url, prefix="other", installation_id=installation_id)
        upload_id = await bullmq.upload()
        await other.publish(upload_id)
        async with bullmq.open():
            await bullmq.do_one()
        assert await bullmq.status(upload_id) is PENDING

        async with QueueHarness(other, repository).open():
            await bullmq.until(COMPLETE, upload_id)
        await other.close()

    async def test_last_delivery_is_the_final_attempt(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        async def never(delivery: Delivery) -> JobStatus:
            if delivery.final_attempt:
                return FAILED
            raise TryAgain("store unavailable", 1)

        bullmq.act = never
        upload_id = await bullmq.upload()
        async with bullmq.open(), opened(redis) as (queue, _):
            await queue.add("warm-up", {}, {"jobId": upload_id, "attempts": 2})
            await bullmq.until(FAILED, upload_id)

        assert [delivery.final_attempt for delivery in bullmq.deliveries] == [False, True]
        assert bullmq_queue.ATTEMPTS == 6

    @pytest.mark.promise("E4")
    async def test_job_of_dead_worker_is_delivered_again(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        upload_id = await bullmq.upload()
        await bullmq.queue.publish(upload_id)
        await take_and_die(redis, upload_id)
        await bullmq.repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        async with bullmq.open():
            await bullmq.until(COMPLETE, upload_id)

        assert [(delivery.upload_id, delivery.exclusive) for delivery in bullmq.deliveries] == [(upload_id, True)]

    async def test_job_lost_by_redis_during_work_still_ends(self, bullmq: QueueHarness, redis: RedisServer) -> None:
        async def report(delivery: Delivery) -> JobStatus:
            redis.empty()
            for progress in (50, 100):
                await delivery.report(progress)
                await asyncio.sleep(0.1)
            return COMPLETE

        bullmq.act = report
        async with bullmq.open():
            upload_id = await bullmq.do_one()

        assert bullmq.delivered == [upload_id]

    @pytest.mark.parametrize("trouble", [RedisServer.kill, RedisServer.pause], ids=["killed", "paused"])
    async def test_running_work_does_not_wait_for_redis(
        self, bullmq: QueueHarness, redis: RedisServer, trouble: Callable[[RedisServer], None]
    ) -> None:
        async def report(delivery: Delivery) -> JobStatus:
            trouble(redis)
            async with asyncio.timeout(SOON):
                for progress in range(0, 101, 10):
                    await delivery.report(progress)
            return COMPLETE

        bullmq.act = report
        async with bullmq.open():
            await bullmq.do_one()
            redis.refresh()

    @pytest.mark.promise("E6")
    async def test_stopping_worker_cancels_long_work(
        self, bullmq: QueueHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bullmq_queue, "_GRACE", 1.0)
        begun = asyncio.Event()

        async def for_ever(_delivery: Delivery) -> JobStatus:
            begun.set()
            await asyncio.Event().wait()
            return COMPLETE

        bullmq.act = for_ever
        upload_id = await bullmq.upload()
        async with bullmq.open():
            await bullmq.queue.publish(upload_id)
            await begun.wait()

        assert bullmq.in_hand == 0
        assert await bullmq.status(upload_id) is PENDING
        bullmq.act = succeed
        async with bullmq.open():
            await bullmq.until(COMPLETE, upload_id)


class TestRedisAway:
    @pytest.mark.parametrize(
        "trouble",
        [RedisServer.kill, RedisServer.pause, RedisServer.fill],
        ids=["killed", "paused", "full"],
    )
    async def test_publish_during_outage_raises_and_recovers(
        self, bullmq: QueueHarness, redis: RedisServer, trouble: Callable[[RedisServer], None]
    ) -> None:
        before, after = await bullmq.upload(), await bullmq.upload()
        await bullmq.queue.publish(before)
        trouble(redis)
        async with asyncio.timeout(SOON):
            with pytest.raises(QueueUnavailable):
                await bullmq.queue.publish(after)
        if trouble is not RedisServer.fill:  # it still reads
            async with asyncio.timeout(SOON):
                with pytest.raises(QueueUnavailable):
                    await bullmq.queue.failure_reason(before)

        redis.refresh()

        await bullmq.queue.publish(after)
        async with bullmq.open():
            await bullmq.until(COMPLETE, after)

    async def test_rejected_worker_resumes_when_accepted(self, repository: JobRepository, redis: RedisServer) -> None:
        """Redis rejects the worker at first, or is unavailable for longer than BullMQ retries."""
        with redis.client() as client:
            client.acl_setuser("worker", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-client"])
        queue = BullmqQueue(redis.url.replace("//", "//worker:secret@"), installation_id=installation_id)
        harness = QueueHarness(queue, repository)
        upload_id = await harness.upload()
        await queue.publish(upload_id)
        with capture_logs() as logs:
            async with harness.open():
                await asyncio.sleep(0.5)
                assert harness.deliveries == []
                with redis.client() as client:
                    client.acl_setuser("worker", enabled=True, commands=["+@all"])
                await harness.until(COMPLETE, upload_id)
        assert "Redis queue error, jobs delayed" in [entry["event"] for entry in logs]
        await queue.close()

    @pytest.mark.parametrize("trouble", [RedisServer.kill, RedisServer.pause], ids=["killed", "paused"])
    async def test_worker_resumes_after_outage(
        self, bullmq: QueueHarness, redis: RedisServer, trouble: Callable[[RedisServer], None]
    ) -> None:
        upload_id = await bullmq.upload()
        with capture_logs():
            async with bullmq.open():
                await asyncio.sleep(0.2)
                trouble(redis)
                await asyncio.sleep(2)
                redis.refresh()
                await bullmq.queue.publish(upload_id)
                await bullmq.until(COMPLETE, upload_id)
