"""Translates the errors of Redis' driver, once for all modules of the queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import AuthenticationError, RedisError

from ingest.ingest_errors import QueueUnavailable
from proxy.deadlines import answer_within


@asynccontextmanager
async def translated(seconds: float) -> AsyncIterator[None]:
    """Raises QueueUnavailable if Redis fails in the block, or if the block takes more than `seconds`."""
    try:
        async with answer_within(seconds):
            yield
    except AuthenticationError as error:
        raise QueueUnavailable(
            "Redis refuses the user or the password. Correct REDIS_URL: redis://USER:PASSWORD@HOST:PORT/DATABASE, "
            "without USER for the default one."
        ) from error
    except (RedisError, OSError, TimeoutError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise QueueUnavailable(
            f"Redis failed or did not answer in time: {reason}. Check that it runs, and REDIS_URL: rediss:// is "
            "for servers with TLS."
        ) from error
