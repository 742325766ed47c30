"""Translates the errors of Redis' driver, once for all modules of the queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from ingest.ingest_errors import QueueUnavailable
from proxy.deadlines import answer_within


@asynccontextmanager
async def translated(seconds: float) -> AsyncIterator[None]:
    """Raises QueueUnavailable if Redis fails in the block, or if the block takes more than `seconds`."""
    try:
        async with answer_within(seconds):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise QueueUnavailable(
            f"Redis failed or did not answer in time: {reason}. Check REDIS_URL, and that Redis runs."
        ) from error
