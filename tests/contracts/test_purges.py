"""Announcements of deleted uploads, over a real Redis that may go away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from proxy.derivation import purges
from proxy.derivation.purges import RedisPurges
from proxy.model import UploadId, new_upload_id
from tests.redis_server import RedisServer

GUARD = 20  # seconds until a test gives up waiting for what should happen at once


class Listener:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[UploadId | None] = asyncio.Queue()

    async def next(self) -> UploadId | None:
        return await asyncio.wait_for(self.heard.get(), GUARD)


@asynccontextmanager
async def listening(server: RedisServer) -> AsyncIterator[tuple[RedisPurges, Listener]]:
    """Connected, once the block begins."""
    over_redis, listener = RedisPurges(server.url), Listener()
    task = asyncio.create_task(over_redis.listen(listener.heard.put_nowait))
    try:
        assert await listener.next() is None
        yield over_redis, listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await over_redis.close()


async def test_everybody_hears_each_in_order(redis: RedisServer) -> None:
    ids = [new_upload_id() for _ in range(3)]
    async with listening(redis) as (one, hears), listening(redis) as (_, hears_too):
        for upload_id in ids:
            await one.announce(upload_id)

        assert [await hears.next() for _ in ids] == ids
        assert [await hears_too.next() for _ in ids] == ids


async def test_what_is_no_id_is_not_heard(redis: RedisServer) -> None:
    async with listening(redis) as (one, hears):
        await one._speaker.publish("darkroom:purged", "../../etc/passwd")
        await one.announce(upload_id := new_upload_id())

        assert await hears.next() == upload_id


async def test_who_may_have_missed_some_is_told(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purges, "_LISTEN_AGAIN", 0.1)
    async with listening(redis) as (one, hears):
        redis.kill()
        with capture_logs() as logs:
            await one.announce(new_upload_id())
        redis.start()

        assert [entry["event"] for entry in logs] == ["other processes were not told of a deletion"]
        assert await hears.next() is None
        await one.announce(upload_id := new_upload_id())
        assert await hears.next() == upload_id


async def test_a_quiet_connection_is_kept(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purges, "_HEARTBEAT", 0.05)
    async with listening(redis) as (one, hears):
        await asyncio.sleep(0.5)
        await one.announce(upload_id := new_upload_id())

        assert await hears.next() == upload_id
