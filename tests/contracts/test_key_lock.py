"""What every KeyLock promises: to its users in one process, in two, and after one has died. Then: Redis in trouble."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.derivation.lock import redis as redis_lock
from proxy.derivation.lock.base import KeyLock, NoLock
from proxy.derivation.lock.file import FileLock
from proxy.derivation.lock.redis import LEASE_SECONDS, RedisLock
from proxy.telemetry import Metrics
from tests.redis_server import RedisServer

GUARD = 20  # seconds until a test gives up waiting for what should happen at once
SOON = 4  # seconds; Redis in trouble may cost two of them
KEY, OTHER = "images/8f14e45f/small.jpg", "images/8f14e45f/large.jpg"

HOLDER = """
import asyncio, sys
from pathlib import Path
from proxy.derivation.lock.file import FileLock
from proxy.derivation.lock.redis import RedisLock
from proxy.telemetry import Metrics

async def main():
    kind, place, key = sys.argv[1:]
    lock = FileLock(Path(place)) if kind == "file" else RedisLock(place, Metrics())
    async with lock.hold(key) as held:
        print(held, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Locks:
    """Two users of one set of leases; they may be one and the same object."""

    one: KeyLock
    two: KeyLock
    place: tuple[str, str]

    @asynccontextmanager
    async def held_elsewhere(self, key: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Another process, which holds `key` until it is killed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, *self.place, key, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert await process.stdout.readline() == b"True\n"
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture(params=["file", "file-of-two", "redis", "redis-of-two"])
async def locks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Locks]:
    kind, _, two = request.param.partition("-")
    place = str(tmp_path / "locks") if kind == "file" else request.getfixturevalue("redis").url

    def open_lock() -> KeyLock:
        return FileLock(Path(place)) if kind == "file" else RedisLock(place, Metrics())

    first = open_lock()
    second = open_lock() if two else first
    yield Locks(first, second, (kind, place))
    await first.close()
    await second.close()


async def can_have(lock: KeyLock, key: str = KEY) -> bool:
    async with asyncio.timeout(GUARD), lock.hold(key, wait=False) as held:
        return held


async def until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(GUARD):
        while not await condition():
            await asyncio.sleep(0.05)


async def hold_for_ever(lock: KeyLock, holds: asyncio.Event) -> None:
    async with lock.hold(KEY):
        holds.set()
        await asyncio.Event().wait()


async def end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class TestHolding:
    async def test_one_at_a_time_has_it(self, locks: Locks) -> None:
        inside, most, turns = 0, 0, 0

        async def work(lock: KeyLock) -> None:
            nonlocal inside, most, turns
            async with lock.hold(KEY) as held:
                assert held is True
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.005)
                inside -= 1
                turns += 1

        async with asyncio.timeout(GUARD):
            await asyncio.gather(*(work(lock) for lock in (locks.one, locks.two) * 8))

        assert (most, turns) == (1, 16)

    async def test_other_keys_are_free(self, locks: Locks) -> None:
        async with asyncio.timeout(GUARD), locks.one.hold(KEY), locks.two.hold(OTHER) as held:
            assert held is True

    async def test_who_will_not_wait_is_told_at_once(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            assert await can_have(locks.two) is False
            assert await can_have(locks.two) is False
        assert await can_have(locks.two) is True

    async def test_who_was_refused_frees_nothing(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            async with locks.two.hold(KEY, wait=False) as held:
                assert held is False
            assert await can_have(locks.one) is False

    async def test_many_may_be_held_at_once(self, locks: Locks) -> None:
        """As a warm-up does. Files are shared by several keys: those are refused then, and nothing worse happens."""
        keys = [f"images/many/{number}.jpg" for number in range(200)]
        async with asyncio.timeout(GUARD), AsyncExitStack() as leases:
            held = [await leases.enter_async_context(locks.one.hold(key, wait=False)) for key in keys]
        assert held.count(True) > 150
        assert [await can_have(locks.two, key) for key in keys] == [True] * 200

    async def test_hundreds_may_be_wanted_at_once(self, locks: Locks) -> None:
        """By as many callers as a busy proxy has; that is no reason to do without."""
        turns = 0

        async def work(number: int) -> None:
            nonlocal turns
            async with locks.one.hold(f"images/hundreds/{number}.jpg") as held:
                assert held is True
                turns += 1

        async with asyncio.timeout(GUARD):
            await asyncio.gather(*(work(number) for number in range(400)))
        assert turns == 400

    @pytest.mark.parametrize("locks", ["file", "redis-of-two"], indirect=True)
    async def test_it_outlasts_its_time_limit_while_the_work_goes_on(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            await asyncio.sleep(LEASE_SECONDS * 1.5)
            assert await can_have(locks.two) is False
        assert await can_have(locks.two) is True


class TestFreeing:
    async def test_when_the_block_raises(self, locks: Locks) -> None:
        with pytest.raises(KeyError):
            async with locks.one.hold(KEY):
                raise KeyError

        assert await can_have(locks.two) is True

    async def test_when_the_holder_is_cancelled(self, locks: Locks) -> None:
        holds = asyncio.Event()
        holder = asyncio.create_task(hold_for_ever(locks.one, holds))
        await holds.wait()
        assert await can_have(locks.two) is False

        await end(holder)

        assert holder.cancelled()
        assert await can_have(locks.two) is True

    async def test_when_who_waits_is_cancelled_nothing_is_left_behind(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            waiters = [asyncio.create_task(hold_for_ever(locks.two, asyncio.Event())) for _ in range(5)]
            await asyncio.sleep(0.2)
            for waiter in waiters:
                await end(waiter)
            assert [waiter.cancelled() for waiter in waiters] == [True] * 5
            assert await can_have(locks.two) is False
        assert await can_have(locks.two) is True

    async def test_by_another_task_than_the_one_that_took_it(self, locks: Locks) -> None:
        """As the write-back does for the derivation."""

        async def take() -> AsyncExitStack:
            async with AsyncExitStack() as lease:
                await lease.enter_async_context(locks.one.hold(KEY))
                return lease.pop_all()

        lease = await asyncio.create_task(take())
        assert await can_have(locks.two) is False

        await asyncio.create_task(lease.aclose())

        assert await can_have(locks.two) is True

    async def test_the_next_in_line_gets_it(self, locks: Locks) -> None:
        holds = asyncio.Event()
        async with locks.one.hold(KEY):
            waiter = asyncio.create_task(hold_for_ever(locks.two, holds))
            await asyncio.sleep(0.1)
            assert not holds.is_set()
        async with asyncio.timeout(GUARD):
            await holds.wait()
        await end(waiter)


@pytest.mark.parametrize("locks", ["file", "redis"], indirect=True)
class TestAnotherProcess:
    async def test_shares_the_leases(self, locks: Locks) -> None:
        async with locks.held_elsewhere(KEY):
            assert await can_have(locks.one) is False
            assert await can_have(locks.one, OTHER) is True

    async def test_that_is_killed_frees_what_it_held(self, locks: Locks) -> None:
        async with locks.held_elsewhere(KEY) as holder:
            holder.kill()
            async with asyncio.timeout(LEASE_SECONDS + 2), locks.one.hold(KEY) as held:
                assert held is True


async def test_files_that_cannot_be_made_are_done_without(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("in the way")
    lock = FileLock(tmp_path / "locks")

    async with asyncio.timeout(GUARD), lock.hold(KEY) as one, lock.hold(KEY) as two:
        assert (one, two) == (True, True)


async def test_a_process_that_is_alone_needs_none() -> None:
    lock = NoLock()

    async with asyncio.timeout(GUARD), lock.hold(KEY) as one, lock.hold(KEY) as two:
        assert (one, two) == (True, True)
    await lock.close()


TROUBLES: dict[str, Callable[[RedisServer], None]] = {
    "killed": RedisServer.kill,
    "paused": RedisServer.pause,
    "full": RedisServer.fill,
}


@pytest.fixture(params=TROUBLES.values(), ids=TROUBLES)
def trouble(request: pytest.FixtureRequest) -> Callable[[RedisServer], None]:
    made: Callable[[RedisServer], None] = request.param
    return made


@dataclass(frozen=True)
class Watched:
    """A RedisLock and its count of fallbacks."""

    lock: RedisLock
    metrics: Metrics

    @property
    def fallbacks(self) -> float:
        return self.metrics.registry.get_sample_value("darkroom_lock_fallbacks_total") or 0


class TestRedisInTrouble:
    @pytest.fixture
    async def watched(self, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
        monkeypatch.setattr(redis_lock, "_LEAVE_ALONE_SECONDS", 0.5)
        metrics = Metrics()
        lock = RedisLock(redis.url, metrics)
        yield Watched(lock, metrics)
        redis.resume()
        await lock.close()

    async def assert_leases_work(self, redis: RedisServer) -> None:
        one, two = RedisLock(redis.url, Metrics()), RedisLock(redis.url, Metrics())
        async with one.hold(KEY):
            assert await can_have(two) is False
        await one.close()
        await two.close()

    async def test_everyone_is_served_with_one_warning_until_it_is_back(
        self, redis: RedisServer, watched: Watched, trouble: Callable[[RedisServer], None]
    ) -> None:
        if trouble is not RedisServer.kill:  # one that was never there at all is the same
            assert await can_have(watched.lock) is True
            assert watched.fallbacks == 0
        with capture_logs() as logs:
            trouble(redis)
            for wait in (True, False):
                async with asyncio.timeout(SOON), watched.lock.hold(KEY, wait=wait) as one:
                    assert one is True
            await asyncio.sleep(0.6)  # it is asked again, and there is no second warning
            async with asyncio.timeout(SOON), watched.lock.hold(KEY) as one, watched.lock.hold(KEY) as two:
                assert (one, two) == (True, True)
            assert watched.fallbacks >= 2
            redis.refresh()

            async def it_excludes_again() -> bool:
                async with watched.lock.hold(KEY):
                    return not await can_have(watched.lock)

            await until(it_excludes_again)
            fallbacks = watched.fallbacks
            assert await it_excludes_again()
            assert watched.fallbacks == fallbacks
        assert [(entry["log_level"], entry["event"]) for entry in logs] == [
            ("warning", "Redis is away: every process derives for itself"),
            ("info", "Redis is back"),
        ]

    async def test_who_waits_is_let_in(
        self, redis: RedisServer, watched: Watched, trouble: Callable[[RedisServer], None]
    ) -> None:
        holds = asyncio.Event()
        async with watched.lock.hold(KEY):
            waiter = asyncio.create_task(hold_for_ever(watched.lock, holds))
            await asyncio.sleep(0.2)
            assert not holds.is_set()
            trouble(redis)
            async with asyncio.timeout(SOON):
                await holds.wait()
        await end(waiter)
        assert watched.fallbacks >= 1

    async def test_who_holds_one_notices_nothing(
        self, redis: RedisServer, watched: Watched, trouble: Callable[[RedisServer], None]
    ) -> None:
        async with asyncio.timeout(LEASE_SECONDS + SOON):
            async with watched.lock.hold(KEY) as held:
                assert held is True
                trouble(redis)
                await asyncio.sleep(LEASE_SECONDS / 3 + 0.2)
        redis.refresh()
        await self.assert_leases_work(redis)

    async def test_a_memory_lost_takes_the_lease_and_nothing_else(self, redis: RedisServer, watched: Watched) -> None:
        async with watched.lock.hold(KEY):
            redis.empty()
            async with asyncio.timeout(SOON), watched.lock.hold(KEY) as another:
                assert another is True
        await self.assert_leases_work(redis)

    async def test_a_crowd_is_no_trouble(self, watched: Watched) -> None:
        async with asyncio.timeout(GUARD), AsyncExitStack() as leases:
            holds = [watched.lock.hold(f"images/crowd/{number}.jpg") for number in range(400)]
            assert await asyncio.gather(*(leases.enter_async_context(hold) for hold in holds)) == [True] * 400
        assert watched.fallbacks == 0

    async def test_only_its_holder_frees_it(self, redis: RedisServer) -> None:
        """One whose lease was lost meanwhile does not free the next one's."""
        one, two = RedisLock(redis.url, Metrics()), RedisLock(redis.url, Metrics())
        async with AsyncExitStack() as later:
            async with one.hold(KEY):
                with redis.client() as client:
                    client.flushall()
                await later.enter_async_context(two.hold(KEY))
            assert await can_have(one) is False
            await asyncio.sleep(LEASE_SECONDS / 3 * 1.5)  # nor does it renew what is not its own, or stop its renewal
            assert await can_have(one) is False
        assert await can_have(one) is True
        await one.close()
        await two.close()

    async def test_a_wrong_password_is_as_good_as_away(self, redis: RedisServer) -> None:
        metrics = Metrics()
        lock = RedisLock(redis.url.replace("//", "//nobody:wrong@"), metrics)
        with capture_logs() as logs:
            async with asyncio.timeout(SOON), lock.hold(KEY) as one, lock.hold(KEY) as two:
                assert (one, two) == (True, True)
        assert [entry["log_level"] for entry in logs] == ["warning"]
        assert "wrong" not in str(logs)
        await lock.close()
