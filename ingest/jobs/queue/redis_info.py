"""Facts about a Redis server that matter to jobs and leases."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from ingest.jobs.queue.redis_errors import translated

T = TypeVar("T")

_TIMEOUT = 5.0  # seconds for all commands together


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """A Redis server. `policy`: its `maxmemory-policy`. `persistent`: whether a restart keeps data; None if unknown.

    `is_cluster`: whether it is a Redis Cluster, which refuses BullMQ's scripts, because their keys are on several
    nodes.
    """

    version: str
    policy: str
    persistent: bool | None
    is_cluster: bool = False


async def redis_facts(url: str) -> RedisFacts:
    """Reads version, eviction policy and persistence. Raises QueueUnavailable."""
    return await _run(url, _read_facts)


async def redis_clock(url: str) -> datetime:
    """Reads the server's clock. Raises QueueUnavailable."""
    return await _run(url, _read_time)


async def _run(url: str, command: Callable[[Redis], Awaitable[T]]) -> T:
    redis = Redis.from_url(url, decode_responses=True, socket_timeout=None, retry=Retry(NoBackoff(), 1))
    async with translated(_TIMEOUT), redis:
        return await command(redis)


async def _read_facts(redis: Redis) -> RedisFacts:
    info = await redis.info()
    persistent = True if info.get("aof_enabled") else await _has_snapshots(redis)
    is_cluster = bool(info.get("cluster_enabled"))
    return RedisFacts(str(info["redis_version"]), str(info.get("maxmemory_policy", "")), persistent, is_cluster)


async def _has_snapshots(redis: Redis) -> bool | None:
    """Returns whether it writes snapshots, None for managed servers that forbid CONFIG."""
    try:
        return bool((await redis.config_get("save")).get("save"))
    except ResponseError:
        return None


async def _read_time(redis: Redis) -> datetime:
    seconds, microseconds = await redis.time()
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
