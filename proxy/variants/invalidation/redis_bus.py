"""Deletions announced to every process of several machines, by a channel of Redis."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from proxy.model import UploadId, parse_upload_id

log = structlog.get_logger()

_CHANNEL = "darkroom:purged"
_PATIENCE = 0.5
"""Seconds for one answer of Redis. redis-py's own `socket_timeout` can lose a cancellation (see `RedisLeaseStore`)."""
_LISTEN_AGAIN = 2.0
_HEARTBEAT = 15.0  # seconds between looks at a connection that says nothing


class RedisInvalidationBus:
    """Redis away: announcements are lost, and everything is forgotten when it is back."""

    def __init__(self, url: str) -> None:
        # By default each call would be tried four times, seconds apart, and a deletion waits for `announce`.
        retry = Retry(NoBackoff(), 1)
        self._speaker = Redis.from_url(url, socket_timeout=None, retry=retry)
        self._listener = Redis.from_url(url, socket_timeout=None, health_check_interval=_HEARTBEAT, retry=retry)

    async def publish(self, upload_id: UploadId) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._speaker.publish(_CHANNEL, upload_id)
        except (RedisError, OSError) as error:
            log.warning(
                "other processes were not told of a deletion", upload=upload_id, error=str(error) or repr(error)
            )

    async def subscribe(self, heard: Callable[[UploadId | None], None]) -> None:
        while True:
            with suppress(RedisError, OSError):  # the lease and the queue complain of Redis; this would say it again
                await self._follow(heard)
            await asyncio.sleep(_LISTEN_AGAIN)

    async def _follow(self, heard: Callable[[UploadId | None], None]) -> None:
        async with self._listener.pubsub() as channel:
            async with asyncio.timeout(_PATIENCE):
                await channel.subscribe(_CHANNEL)
            while True:
                message = await channel.get_message(timeout=_HEARTBEAT)
                if message is None:
                    await channel.ping()
                elif message["type"] == "subscribe":
                    heard(None)
                elif message["type"] == "message" and (upload_id := parse_upload_id(message["data"].decode("latin-1"))):
                    heard(upload_id)

    async def close(self) -> None:
        await self._speaker.aclose()
        await self._listener.aclose()
