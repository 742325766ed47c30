"""Leases among machines, in Redis (redis-py's Lock: a token, a time limit, released by its holder only)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, RedisError

from proxy.deadlines import answer_within
from proxy.telemetry import Metrics
from proxy.variants.leases.lease_store import RELEASED_SECONDS

log = structlog.get_logger()

LEASE_SECONDS = 3.0
"""Seconds after which the lease of a dead holder ends. Well below `RENDER_TIMEOUT`, the deadline of waiting
requests."""

_POLL_SECONDS = 0.05  # at most twenty commands a second for each key: a process has one waiter for a key
_ANSWER_SECONDS = 0.5
"""Deadline of one command.

`answer_within` enforces it, not redis-py's `socket_timeout`. That uses `asyncio.wait_for`, which in Python 3.11 loses
a cancellation that arrives together with the result (python/cpython#86296). A lost cancellation kept a lease and its
renewal until the process ended.
"""
_CONNECTIONS = 32
_BACKOFF_SECONDS = 5.0  # after a failure, so that an outage does not delay every derivation


class RedisLeaseStore:
    """While Redis is unavailable, slow or full, grants every lease and logs once; each process still derives once.

    `lease_seconds`: time limit of a lease, which is renewed while it is held. `answer_seconds`: deadline of a command,
    after which Redis counts as unavailable. `backoff_seconds`: pause after a failure of Redis, during which leases
    are granted without asking it.
    """

    def __init__(
        self,
        url: str,
        metrics: Metrics,
        *,
        lease_seconds: float = LEASE_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
        backoff_seconds: float = _BACKOFF_SECONDS,
    ) -> None:
        pool = BlockingConnectionPool.from_url(  # waits for a free connection; ConnectionPool would raise
            url,
            max_connections=_CONNECTIONS,
            socket_timeout=None,  # see _ANSWER_SECONDS
            retry=Retry(NoBackoff(), 1),  # once: Redis may have closed a pooled connection
        )
        self._redis = Redis.from_pool(pool)
        self._metrics = metrics
        self._lease_seconds = lease_seconds
        self._answer_seconds = answer_seconds
        self._backoff_seconds = backoff_seconds
        self._backoff_until = 0.0
        self._is_unavailable = False

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        # thread_local=False: the token must not depend on the thread, as other tasks renew and release the lease
        lock = self._redis.lock(f"darkroom:{key}", self._lease_seconds, thread_local=False)
        held = await self._acquire(lock, wait=wait)
        if held is None:
            yield True
            return
        if not held:
            yield False
            return
        renewal = asyncio.create_task(self._renew(lock))
        try:
            yield True
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            with suppress(RedisError, OSError):
                async with answer_within(self._answer_seconds):
                    await self._redis.set(_released_key(key), 1, px=int(RELEASED_SECONDS * 1000))
            with suppress(RedisError, OSError):  # expired, or Redis failed: the time limit ends it
                async with answer_within(self._answer_seconds):
                    await lock.release()

    async def was_released(self, key: str) -> bool:
        if monotonic() < self._backoff_until:
            return False
        with suppress(RedisError, OSError):
            async with answer_within(self._answer_seconds):
                return bool(await self._redis.exists(_released_key(key)))
        return False

    async def close(self) -> None:
        await self._redis.aclose()

    async def _acquire(self, lock: Lock, *, wait: bool) -> bool | None:
        """Returns whether the lease was acquired; None if Redis failed."""
        if monotonic() < self._backoff_until:
            return None
        try:
            while True:
                async with answer_within(self._answer_seconds):
                    held: bool = await lock.acquire(blocking=False)
                self._on_success()
                if held or not wait:
                    return held
                await asyncio.sleep(_POLL_SECONDS)
        except (RedisError, OSError) as error:
            self._on_failure(error)
            return None

    async def _renew(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                async with answer_within(self._answer_seconds):
                    await lock.reacquire()
            except LockError:
                return  # expired, for example while this process was suspended; the conditional put decides a race
            except (RedisError, OSError) as error:
                self._on_failure(error)

    def _on_failure(self, error: Exception) -> None:
        self._backoff_until = monotonic() + self._backoff_seconds
        self._metrics.lease_fallbacks.inc()
        if not self._is_unavailable:
            self._is_unavailable = True
            log.warning("Redis unavailable, leases granted without it", error=str(error) or repr(error))

    def _on_success(self) -> None:
        if self._is_unavailable:
            self._is_unavailable = False
            log.info("Redis available again, leases granted by it")


def _released_key(key: str) -> str:
    return f"darkroom:released:{key}"
