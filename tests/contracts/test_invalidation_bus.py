"""Invalidation buses: through files, and through a real Redis that fails."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.model import new_upload_id
from proxy.variants.invalidation import file_bus, redis_bus
from proxy.variants.invalidation.file_bus import FileInvalidationBus
from proxy.variants.invalidation.invalidation_bus import NOT_PUBLISHED, Invalidation, InvalidationBus
from proxy.variants.invalidation.redis_bus import RedisInvalidationBus
from tests.contracts.leases_under_test import cancel
from tests.redis_server import RedisServer
from tests.waiting import GUARD


class Subscriber:
    def __init__(self) -> None:
        self.received: asyncio.Queue[Invalidation | None] = asyncio.Queue()

    async def next(self) -> Invalidation | None:
        async with asyncio.timeout(GUARD):
            return await self.received.get()


@asynccontextmanager
async def subscribed(invalidation: InvalidationBus) -> AsyncIterator[Subscriber]:
    """A subscriber that is connected when the block begins."""
    subscriber = Subscriber()
    task = asyncio.create_task(invalidation.subscribe(subscriber.received.put_nowait))
    try:
        assert await subscriber.next() is None
        yield subscriber
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await invalidation.close()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is lost, as it should be, if Redis misses its deadline. On a busy machine that would fail tests."""
    monkeypatch.setattr(redis_bus, "_ANSWER_SECONDS", GUARD)


@pytest.fixture(params=["file", "redis"])
def open_invalidation(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], InvalidationBus]:
    if request.param == "file":
        return lambda: FileInvalidationBus(tmp_path / "purges")
    server: RedisServer = request.getfixturevalue("redis")
    return lambda: RedisInvalidationBus(server.url)


async def test_every_subscriber_receives_each_invalidation(open_invalidation: Callable[[], InvalidationBus]) -> None:
    changed = Invalidation(new_upload_id(), is_deleted=False)
    invalidations = {changed, Invalidation(changed.upload_id), Invalidation(new_upload_id())}
    one, two = open_invalidation(), open_invalidation()
    async with subscribed(one) as subscriber, subscribed(two) as second:
        for invalidation in invalidations:
            await one.publish(invalidation)

        assert {await subscriber.next() for _ in invalidations} == invalidations
        assert {await second.next() for _ in invalidations} == invalidations


async def test_subscription_cancelled_at_any_step_ends(open_invalidation: Callable[[], InvalidationBus]) -> None:
    invalidation = open_invalidation()
    for steps in range(60):
        task = asyncio.create_task(invalidation.subscribe(lambda _: None))
        for _ in range(steps):
            await asyncio.sleep(0)
        await cancel(task)
    await invalidation.close()


async def test_repeated_invalidation_is_received_again(open_invalidation: Callable[[], InvalidationBus]) -> None:
    bus, invalidation = open_invalidation(), Invalidation(new_upload_id())
    async with subscribed(bus) as subscriber:
        for _ in range(2):
            await bus.publish(invalidation)
            assert await subscriber.next() == invalidation


class TestFiles:
    async def test_old_invalidation_is_ignored_and_removed(self, tmp_path: Path) -> None:
        invalidation, old = FileInvalidationBus(tmp_path), new_upload_id()
        await invalidation.publish(Invalidation(old))
        os.utime(tmp_path / old, (1, 1))
        async with subscribed(invalidation) as subscriber:
            await invalidation.publish(new := Invalidation(new_upload_id()))

            assert await subscriber.next() == new
        assert [path.name for path in tmp_path.iterdir()] == [new.upload_id]

    async def test_other_files_are_ignored_and_kept(self, tmp_path: Path) -> None:
        invalidation = FileInvalidationBus(tmp_path)
        async with subscribed(invalidation) as subscriber:
            (tmp_path / "notes.txt").touch()
            os.utime(tmp_path / "notes.txt", (1, 1))
            await invalidation.publish(published := Invalidation(new_upload_id()))

            assert await subscriber.next() == published
        assert (tmp_path / "notes.txt").exists()

    async def test_file_that_cannot_be_removed_holds_up_no_invalidation(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For instance one of root, who ran `darkroom purge`."""

        def refuse(_path: Path, missing_ok: bool = False) -> None:
            raise PermissionError

        invalidation, old = FileInvalidationBus(tmp_path), new_upload_id()
        await invalidation.publish(Invalidation(old))
        os.utime(tmp_path / old, (1, 1))
        monkeypatch.setattr(Path, "unlink", refuse)
        async with subscribed(invalidation) as subscriber:
            await invalidation.publish(new := Invalidation(new_upload_id()))

            assert await subscriber.next() == new

    async def test_subscriber_clears_everything_after_folder_was_unreadable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_bus, "_POLL_SECONDS", 0.02)
        invalidation = FileInvalidationBus(tmp_path / "purges")
        async with subscribed(invalidation) as subscriber:
            (tmp_path / "purges").rmdir()
            (tmp_path / "purges").touch()
            with capture_logs() as logs:
                await invalidation.publish(Invalidation(new_upload_id()))
            await asyncio.sleep(0.1)
            (tmp_path / "purges").unlink()

            assert await subscriber.next() is None
        assert [entry["event"] for entry in logs] == [NOT_PUBLISHED]


class TestRedis:
    async def test_malformed_messages_are_ignored(self, redis: RedisServer) -> None:
        one = RedisInvalidationBus(redis.url)
        async with subscribed(one) as subscriber:
            for other in ("../../etc/passwd", b"\xff"):
                await one._publisher.publish("darkroom:purged", other)
            await one.publish(published := Invalidation(new_upload_id()))

            assert await subscriber.next() == published

    async def test_subscriber_clears_everything_after_redis_restarts(
        self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_bus, "_RECONNECT_SECONDS", 0.1)
        one = RedisInvalidationBus(redis.url)
        async with subscribed(one) as subscriber:
            redis.kill()
            with capture_logs() as logs:
                await one.publish(Invalidation(new_upload_id()))
            redis.start()

            assert [entry["event"] for entry in logs] == [NOT_PUBLISHED]
            assert await subscriber.next() is None
            await one.publish(published := Invalidation(new_upload_id()))
            assert await subscriber.next() == published

    async def test_idle_connection_stays_subscribed(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(redis_bus, "_HEARTBEAT_SECONDS", 0.05)
        one = RedisInvalidationBus(redis.url)
        async with subscribed(one) as subscriber:
            await asyncio.sleep(0.5)
            await one.publish(published := Invalidation(new_upload_id()))

            assert await subscriber.next() == published

    async def test_silent_connection_is_replaced(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("_HEARTBEAT_SECONDS", "_ANSWER_SECONDS", "_RECONNECT_SECONDS"):
            monkeypatch.setattr(redis_bus, name, 0.1)
        async with subscribed(RedisInvalidationBus(redis.url)) as subscriber:
            redis.pause()
            await asyncio.sleep(0.5)
            redis.resume()

            assert await subscriber.next() is None
