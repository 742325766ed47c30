"""What a Redis says of itself, as far as it matters to jobs and leases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from ingest.errors import QueueUnavailable

T = TypeVar("T")

_PATIENCE = 5.0  # seconds for all of it


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """`policy` is its `maxmemory-policy`. `persistent`: whether a restart keeps its data; None if it does not say."""

    version: str
    policy: str
    persistent: bool | None


async def redis_facts(url: str) -> RedisFacts:
    """Raises QueueUnavailable."""
    return await _ask(url, _facts)


async def redis_clock(url: str) -> datetime:
    """Raises QueueUnavailable."""
    return await _ask(url, _time)


async def _ask(url: str, question: Callable[[Redis], Awaitable[T]]) -> T:
    redis = Redis.from_url(url, decode_responses=True, socket_timeout=None)
    try:
        async with asyncio.timeout(_PATIENCE), redis:
            return await question(redis)
    except (RedisError, OSError, TimeoutError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise QueueUnavailable(
            f"Redis does not answer as it should: {reason}. Check REDIS_URL, and that it runs."
        ) from error


async def _facts(redis: Redis) -> RedisFacts:
    info = await redis.info()
    persistent = True if info.get("aof_enabled") else await _saves(redis)
    return RedisFacts(str(info["redis_version"]), str(info.get("maxmemory_policy", "")), persistent)


async def _saves(redis: Redis) -> bool | None:
    """Whether it writes snapshots. Managed ones keep their configuration to themselves."""
    try:
        return bool((await redis.config_get("save")).get("save"))
    except ResponseError:
        return None


async def _time(redis: Redis) -> datetime:
    seconds, microseconds = await redis.time()
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
