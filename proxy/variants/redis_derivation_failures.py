"""Failures of derivations, shared by processes through Redis."""

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from proxy.deadlines import answer_within
from proxy.variants.derivation_pauses import REMEMBERED, DerivationFailures, parse_failures

T = TypeVar("T")

_PREFIX = "darkroom:failures:"
_ANSWER_SECONDS = 0.5
_BACKOFF_SECONDS = 5.0  # after a failure of Redis, so that an outage does not delay every derivation


class RedisFailures:
    """Failures in Redis, where entries expire by themselves. Costs one MGET for each derivation.

    Does not log an outage of Redis, because the leases do.
    """

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, decode_responses=True, socket_timeout=None, retry=Retry(NoBackoff(), 1))
        self._backoff_until = 0.0

    async def get(self, keys: Sequence[str]) -> Sequence[DerivationFailures | None]:
        values = await self._run(lambda: self._redis.mget([_PREFIX + key for key in keys]))
        return [parse_failures(value) for value in values or [None] * len(keys)]

    async def put(self, key: str, failures: DerivationFailures) -> None:
        await self._run(lambda: self._redis.set(_PREFIX + key, failures.text, ex=REMEMBERED))

    async def delete(self, key: str) -> None:
        await self._run(lambda: self._redis.delete(_PREFIX + key))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _run(self, command: Callable[[], Awaitable[T]]) -> T | None:
        if monotonic() < self._backoff_until:
            return None
        try:
            async with answer_within(_ANSWER_SECONDS):
                return await command()
        except (RedisError, OSError):
            self._backoff_until = monotonic() + _BACKOFF_SECONDS
            return None
