"""What leases promise while Redis is in trouble: everyone is served."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from proxy.telemetry import Metrics
from proxy.variants.leases.redis_leases import RedisLeaseStore
from tests.contracts.locks import KEY, LEASE, SOON, can_have, end, hold_for_ever
from tests.contracts.waiting import GUARD, until
from tests.redis_server import RedisServer

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
    """A RedisLeaseStore and its count of fallbacks."""

    lock: RedisLeaseStore
    metrics: Metrics

    @property
    def fallbacks(self) -> float:
        return self.metrics.registry.get_sample_value("darkroom_lease_fallbacks_total") or 0


class TestRedisInTrouble:
    @pytest.fixture
    async def watched(self, redis: RedisServer) -> AsyncIterator[Watched]:
        metrics = Metrics()
        lock = RedisLeaseStore(redis.url, metrics, lease_seconds=LEASE, backoff_seconds=0.5)
        yield Watched(lock, metrics)
        redis.resume()
        await lock.close()

    async def assert_leases_work(self, redis: RedisServer) -> None:
        one, two = (RedisLeaseStore(redis.url, Metrics(), lease_seconds=LEASE) for _ in range(2))
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
            ("warning", "Redis unavailable, leases granted without it"),
            ("info", "Redis available again"),
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
        async with asyncio.timeout(LEASE + SOON):
            async with watched.lock.hold(KEY) as held:
                assert held is True
                trouble(redis)
                await asyncio.sleep(LEASE / 3 + 0.2)
        redis.refresh()
        await self.assert_leases_work(redis)

    async def test_a_memory_lost_takes_the_lease_and_nothing_else(self, redis: RedisServer, watched: Watched) -> None:
        async with watched.lock.hold(KEY):
            redis.empty()
            async with asyncio.timeout(SOON), watched.lock.hold(KEY) as another:
                assert another is True
        await self.assert_leases_work(redis)

    @pytest.mark.serial  # 400 renewals a second that each wait a second at most
    async def test_a_crowd_is_no_trouble(self, redis: RedisServer) -> None:
        watched = Watched(RedisLeaseStore(redis.url, metrics := Metrics()), metrics)
        async with asyncio.timeout(GUARD), AsyncExitStack() as leases:
            holds = [watched.lock.hold(f"images/crowd/{number}.jpg") for number in range(400)]
            assert await asyncio.gather(*(leases.enter_async_context(hold) for hold in holds)) == [True] * 400
        await watched.lock.close()
        assert watched.fallbacks == 0

    async def test_only_its_holder_frees_it(self, redis: RedisServer) -> None:
        """One whose lease was lost meanwhile does not free the next one's."""
        one, two = (RedisLeaseStore(redis.url, Metrics(), lease_seconds=LEASE) for _ in range(2))
        async with AsyncExitStack() as later:
            async with one.hold(KEY):
                with redis.client() as client:
                    client.flushall()
                await later.enter_async_context(two.hold(KEY))
            assert await can_have(one) is False
            await asyncio.sleep(LEASE / 3 * 1.5)  # nor does it renew what is not its own, or stop its renewal
            assert await can_have(one) is False
        assert await can_have(one) is True
        await one.close()
        await two.close()

    async def test_a_wrong_password_is_as_good_as_away(self, redis: RedisServer) -> None:
        metrics = Metrics()
        lock = RedisLeaseStore(redis.url.replace("//", "//nobody:wrong@"), metrics)
        with capture_logs() as logs:
            async with asyncio.timeout(SOON), lock.hold(KEY) as one, lock.hold(KEY) as two:
                assert (one, two) == (True, True)
        assert [entry["log_level"] for entry in logs] == ["warning"]
        assert "wrong" not in str(logs)
        await lock.close()
