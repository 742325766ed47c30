"""Every queue, each with a repository."""

from collections.abc import AsyncIterator

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs.queue.bullmq_queue import BullmqQueue
from ingest.jobs.queue.local_queue import LocalQueue
from tests.contracts.queue_harness import QueueHarness, installation_id
from tests.redis_server import RedisServer


@pytest.fixture
def repository(sqlite: Database) -> JobRepository:
    return JobRepository(sqlite)


@pytest.fixture
async def local(repository: JobRepository) -> LocalQueue:
    return LocalQueue(repository, poll_seconds=0.5)


@pytest.fixture
async def bullmq_queue(redis: RedisServer) -> AsyncIterator[BullmqQueue]:
    queue = BullmqQueue(redis.url, installation_id=installation_id, stalled_seconds=0.2)
    yield queue
    redis.resume()
    await queue.close()


@pytest.fixture(params=["local", "bullmq_queue"])
def harness(request: pytest.FixtureRequest, repository: JobRepository) -> QueueHarness:
    return QueueHarness(request.getfixturevalue(request.param), repository)


@pytest.fixture
def bullmq(bullmq_queue: BullmqQueue, repository: JobRepository) -> QueueHarness:
    """A harness with BullMQ."""
    return QueueHarness(bullmq_queue, repository)
