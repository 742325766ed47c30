"""Leases between machines, in Redis (redis-py's Lock: a token, a time limit, freed by its holder alone)."""

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

from proxy.telemetry import Metrics

log = structlog.get_logger()

LEASE_SECONDS = 3.0
"""How long a dead holder delays the others; well below the deadline of who waits."""

_POLL_SECONDS = 0.05  # one process has one waiter for each key, so this is some twenty small commands a second each
_ANSWER_SECONDS = 0.5
"""Deadline of one command; a slower Redis counts as unavailable.

`asyncio.timeout` enforces it, not redis-py's `socket_timeout`. That uses `asyncio.wait_for`, which in Python 3.11 loses
a cancellation that arrives together with the result (python/cpython#86296), and a lost one kept a lease and its renewal
until the process ended.
"""
_CONNECTIONS = 32
_LEAVE_ALONE_SECONDS = 5.0  # after a failure, so that a Redis that is away costs time once and not for each picture


class RedisLeaseStore:
    """Redis away, slow or full: leases are granted unseen (each process still derives once), with one warning.

    `leave_alone_seconds`: for how long Redis is not asked again after it has failed.
    """

    def __init__(
        self,
        url: str,
        metrics: Metrics,
        *,
        lease_seconds: float = LEASE_SECONDS,
        leave_alone_seconds: float = _LEAVE_ALONE_SECONDS,
    ) -> None:
        pool = BlockingConnectionPool.from_url(  # who finds them all in use waits; the other kind of pool would raise
            url,
            max_connections=_CONNECTIONS,
            socket_timeout=None,  # see _ANSWER_SECONDS
            retry=Retry(NoBackoff(), 1),  # a pooled connection that an old Redis closed; a second failure is a failure
        )
        self._redis = Redis.from_pool(pool)
        self._metrics = metrics
        self._lease_seconds = lease_seconds
        self._leave_alone_seconds = leave_alone_seconds
        self._away_until = 0.0
        self._is_away = False

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        # thread_local: the lease is renewed and freed by other tasks than the one that took it
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
            with suppress(RedisError, OSError):  # gone or another's by now: then it ended by itself
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await lock.release()

    async def close(self) -> None:
        await self._redis.aclose()

    async def _acquire(self, lock: Lock, *, wait: bool) -> bool | None:
        """None where Redis cannot say."""
        if monotonic() < self._away_until:
            return None
        try:
            while True:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    held: bool = await lock.acquire(blocking=False)
                self._note_back()
                if held or not wait:
                    return held
                await asyncio.sleep(_POLL_SECONDS)
        except (RedisError, OSError) as error:
            self._note_away(error)
            return None

    async def _renew(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await lock.reacquire()
            except LockError:
                return  # expired while this process was stopped, and perhaps another's: the conditional put decides
            except (RedisError, OSError) as error:
                self._note_away(error)

    def _note_away(self, error: Exception) -> None:
        self._away_until = monotonic() + self._leave_alone_seconds
        self._metrics.lease_fallbacks.inc()
        if not self._is_away:
            self._is_away = True
            log.warning("Redis is away: every process derives for itself", error=str(error) or repr(error))

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("Redis is back")
