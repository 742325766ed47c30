"""Invalidations among several machines, by a Redis pub/sub channel."""

import asyncio
from contextlib import suppress

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from proxy.deadlines import answer_within
from proxy.variants.invalidation.invalidation_bus import (
    NOT_PUBLISHED,
    Invalidation,
    OnInvalidation,
    parse_invalidation,
)

log = structlog.get_logger()

_CHANNEL = "darkroom:purged"
_ANSWER_SECONDS = 0.5
"""Deadline of one command. redis-py's own `socket_timeout` can lose a cancellation (see `RedisLeaseStore`)."""
_RECONNECT_SECONDS = 2.0
_HEARTBEAT_SECONDS = 15.0  # between checks of a silent connection


class RedisInvalidationBus:
    """Publishes messages in a channel of Redis.

    While Redis is unavailable, messages are lost; subscribers clear their caches on reconnecting.
    """

    def __init__(self, url: str) -> None:
        # One retry: redis-py's four tries, seconds apart, would delay deletions, which wait for `publish`.
        retry = Retry(NoBackoff(), 1)
        self._publisher = Redis.from_url(url, socket_timeout=None, retry=retry)
        self._subscriber = Redis.from_url(url, socket_timeout=None, retry=retry)

    async def publish(self, invalidation: Invalidation) -> None:
        try:
            async with answer_within(_ANSWER_SECONDS):
                await self._publisher.publish(_CHANNEL, invalidation.text)
        except (RedisError, OSError) as error:
            log.warning(NOT_PUBLISHED, upload=invalidation.upload_id, error=str(error) or repr(error))

    async def subscribe(self, on_invalidation: OnInvalidation) -> None:
        while True:
            with suppress(RedisError, OSError):  # leases and the queue log it already
                await self._listen(on_invalidation)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self, on_invalidation: OnInvalidation) -> None:
        async with self._subscriber.pubsub() as channel:
            async with answer_within(_ANSWER_SECONDS):
                await channel.subscribe(_CHANNEL)
            has_pinged = False
            while True:
                message = await channel.get_message(timeout=_HEARTBEAT_SECONDS)
                if message is None:
                    if has_pinged:
                        raise ConnectionError("Redis does not answer PING.")
                    has_pinged = True
                    await channel.ping()
                    continue
                has_pinged = False
                if message["type"] == "subscribe":
                    on_invalidation(None)
                elif message["type"] == "message" and (
                    invalidation := parse_invalidation(message["data"].decode("latin-1"))
                ):
                    on_invalidation(invalidation)

    async def close(self) -> None:
        try:
            await self._publisher.aclose()
        finally:
            await self._subscriber.aclose()
