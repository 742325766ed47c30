"""A harness that runs a queue with workers and checks it against the catalog."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from bullmq import Queue
from redis.asyncio import Redis

from ingest.catalog.repository import JobRepository
from ingest.jobs.queue.warm_up_queue import Delivery, Handler, WarmUpQueue
from ingest.records import JobNotClaimable, JobStatus
from proxy.model import UploadId, new_upload_id
from tests.redis_server import RedisServer
from tests.unit.ingest.examples import accepted
from tests.waiting import GUARD, until

SOON = 5  # seconds within which a queue outage must be reported
PENDING, PROCESSING, COMPLETE, FAILED = JobStatus


async def installation_id() -> str:
    return "this-installation"


async def state(queue: Queue, job_id: str, wanted: str) -> None:
    """Waits until the job is in the state `wanted`."""

    async def has_come() -> bool:
        return bool(await queue.getJobState(job_id) == wanted)

    await until(has_come)


async def succeed(_delivery: Delivery) -> JobStatus:
    return COMPLETE


@dataclass
class QueueHarness:
    """A queue, the repository, and a handler that updates the repository as the warm-up does."""

    queue: WarmUpQueue
    repository: JobRepository
    act: Handler = succeed
    deliveries: list[Delivery] = field(default_factory=list)
    in_hand: int = 0
    most: int = 0

    @property
    def delivered(self) -> list[UploadId]:
        return [delivery.upload_id for delivery in self.deliveries]

    async def upload(self) -> UploadId:
        """Accepts an upload without publishing its job."""
        upload_id = new_upload_id()
        await self.repository.begin(upload_id)
        await self.repository.accept(accepted(upload_id))
        return upload_id

    async def status(self, upload_id: UploadId) -> JobStatus:
        return (await self.repository.find(upload_id))[1].status

    async def handle(self, delivery: Delivery) -> JobStatus | None:
        status = await self.status(delivery.upload_id)
        try:
            if status is not PENDING and not (delivery.exclusive and status is PROCESSING):
                return None
            await self.repository.advance(delivery.upload_id, expect=status, to=PROCESSING)
        except JobNotClaimable:
            return None
        self.deliveries.append(delivery)
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        end: JobStatus | None = PENDING  # returned to the queue if this attempt raises
        try:
            end = await self.act(delivery)
        finally:
            self.in_hand -= 1
            await self.repository.advance(delivery.upload_id, expect=PROCESSING, to=end or PENDING)
        return end

    @asynccontextmanager
    async def open(self, concurrency: int = 1, handle: Handler | None = None) -> AsyncIterator[None]:
        """Runs workers during the block, with `handle` if given."""
        work = asyncio.create_task(self.queue.consume(handle or self.handle, concurrency))
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

    async def do_one(self, end: JobStatus = COMPLETE) -> UploadId:
        """Publishes a new upload and waits until its job has the status `end`."""
        upload_id = await self.upload()
        await self.queue.publish(upload_id)
        await self.until(end, upload_id)
        return upload_id


async def given_up(harness: QueueHarness, upload_id: UploadId) -> bool:
    return await harness.queue.failure_reason(upload_id) is not None


@asynccontextmanager
async def opened(redis: RedisServer) -> AsyncIterator[tuple[Queue, Redis]]:
    """Opens the queue as a dashboard or another producer does."""
    connection = Redis.from_url(redis.url, decode_responses=True)
    yield Queue("image-processing", {"connection": connection}), connection
    await connection.aclose()


async def take_and_die(redis: RedisServer, upload_id: UploadId) -> None:
    """Leaves a job as a killed worker does: active, with a lock that is not renewed."""
    async with opened(redis) as (queue, connection):
        await connection.lrem("bull:image-processing:wait", 0, upload_id)
        await connection.lpush("bull:image-processing:active", upload_id)
        assert await queue.getJobState(upload_id) == "active"
