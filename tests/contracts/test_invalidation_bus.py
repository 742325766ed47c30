"""Announcements of deleted uploads, by files and over a real Redis that may go away."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.model import UploadId, new_upload_id
from proxy.variants.invalidation import file_bus
from proxy.variants.invalidation import redis_bus as over_redis
from proxy.variants.invalidation.file_bus import FileInvalidationBus
from proxy.variants.invalidation.invalidation_bus import InvalidationBus
from proxy.variants.invalidation.redis_bus import RedisInvalidationBus
from tests.contracts.locks import end
from tests.contracts.waiting import GUARD
from tests.redis_server import RedisServer


class Listener:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[UploadId | None] = asyncio.Queue()

    async def next(self) -> UploadId | None:
        async with asyncio.timeout(GUARD):
            return await self.heard.get()


@asynccontextmanager
async def listening(invalidation: InvalidationBus) -> AsyncIterator[Listener]:
    """Connected, once the block begins."""
    listener = Listener()
    task = asyncio.create_task(invalidation.subscribe(listener.heard.put_nowait))
    try:
        assert await listener.next() is None
        yield listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await invalidation.close()


@pytest.fixture(params=["file", "redis"])
def open_invalidation(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], InvalidationBus]:
    if request.param == "file":
        return lambda: FileInvalidationBus(tmp_path / "purges")
    server: RedisServer = request.getfixturevalue("redis")
    return lambda: RedisInvalidationBus(server.url)


async def test_everybody_hears_each(open_invalidation: Callable[[], InvalidationBus]) -> None:
    ids = {new_upload_id() for _ in range(3)}
    one, two = open_invalidation(), open_invalidation()
    async with listening(one) as hears, listening(two) as hears_too:
        for upload_id in ids:
            await one.publish(upload_id)

        assert {await hears.next() for _ in ids} == ids
        assert {await hears_too.next() for _ in ids} == ids


async def test_listener_cancelled_at_any_step_ends(open_invalidation: Callable[[], InvalidationBus]) -> None:
    invalidation = open_invalidation()
    for steps in range(60):
        task = asyncio.create_task(invalidation.subscribe(lambda _: None))
        for _ in range(steps):
            await asyncio.sleep(0)
        await end(task)
    await invalidation.close()


async def test_a_second_deletion_is_heard_too(open_invalidation: Callable[[], InvalidationBus]) -> None:
    invalidation, upload_id = open_invalidation(), new_upload_id()
    async with listening(invalidation) as hears:
        for _ in range(2):
            await invalidation.publish(upload_id)
            assert await hears.next() == upload_id


class TestFiles:
    async def test_what_was_announced_long_ago_is_neither_heard_nor_kept(self, tmp_path: Path) -> None:
        invalidation, old = FileInvalidationBus(tmp_path), new_upload_id()
        await invalidation.publish(old)
        os.utime(tmp_path / old, (1, 1))
        async with listening(invalidation) as hears:
            await invalidation.publish(new := new_upload_id())

            assert await hears.next() == new
        assert [path.name for path in tmp_path.iterdir()] == [new]

    async def test_other_files_are_not_heard(self, tmp_path: Path) -> None:
        invalidation = FileInvalidationBus(tmp_path)
        async with listening(invalidation) as hears:
            (tmp_path / "notes.txt").touch()
            await invalidation.publish(upload_id := new_upload_id())

            assert await hears.next() == upload_id

    async def test_who_cannot_look_forgets_everything_once_it_can(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_bus, "_LOOK_EVERY", 0.02)
        invalidation = FileInvalidationBus(tmp_path / "purges")
        async with listening(invalidation) as hears:
            (tmp_path / "purges").rmdir()
            (tmp_path / "purges").touch()
            with capture_logs() as logs:
                await invalidation.publish(new_upload_id())
            await asyncio.sleep(0.1)
            (tmp_path / "purges").unlink()

            assert await hears.next() is None
        assert [entry["event"] for entry in logs] == ["other processes were not told of a deletion"]


class TestRedis:
    async def test_what_is_no_id_is_not_heard(self, redis: RedisServer) -> None:
        one = RedisInvalidationBus(redis.url)
        async with listening(one) as hears:
            for other in ("../../etc/passwd", b"\xff"):
                await one._speaker.publish("darkroom:purged", other)
            await one.publish(upload_id := new_upload_id())

            assert await hears.next() == upload_id

    async def test_who_may_have_missed_some_is_told(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(over_redis, "_LISTEN_AGAIN", 0.1)
        one = RedisInvalidationBus(redis.url)
        async with listening(one) as hears:
            redis.kill()
            with capture_logs() as logs:
                await one.publish(new_upload_id())
            redis.start()

            assert [entry["event"] for entry in logs] == ["other processes were not told of a deletion"]
            assert await hears.next() is None
            await one.publish(upload_id := new_upload_id())
            assert await hears.next() == upload_id

    async def test_a_quiet_connection_is_kept(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(over_redis, "_HEARTBEAT", 0.05)
        one = RedisInvalidationBus(redis.url)
        async with listening(one) as hears:
            await asyncio.sleep(0.5)
            await one.publish(upload_id := new_upload_id())

            assert await hears.next() == upload_id
