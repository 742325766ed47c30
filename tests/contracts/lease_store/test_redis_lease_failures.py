"""RedisLeaseStore while Redis fails: every lease is granted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from proxy.telemetry import Metrics
from proxy.variants.leases.redis_leases import RedisLeaseStore
from tests.contracts.leases_under_test import KEY, LEASE, SOON, can_acquire, cancel, hold_forever
from tests.redis_server import RedisServer
from tests.waiting import GUARD, until

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

    leases: RedisLeaseStore
    metrics: Metrics

    @property
    def fallbacks(self) -> float:
        return self.metrics.registry.get_sample_value("darkroom_lease_fallbacks_total") or 0


class TestRedisFailures:
    @pytest.fixture
    async def watched(self, redis: RedisServer) -> AsyncIterator[Watched]:
        metrics = Metrics()
        leases = RedisLeaseStore(redis.url, metrics, lease_seconds=LEASE, answer_seconds=1.5, backoff_seconds=0.5)
        yield Watched(leases, metrics)
        redis.resume()
        await leases.close()

    async def assert_leases_work(self, redis: RedisServer) -> None:
        one, two = (RedisLeaseStore(redis.url, Metrics(), answer_seconds=GUARD) for _ in range(2))
        async with one.hold(KEY):
            assert await can_acquire(two) is False
        await one.close()
        await two.close()

    async def test_leases_are_granted_with_one_warning_until_redis_recovers(
        self, redis: RedisServer, watched: Watched, trouble: Callable[[RedisServer], None]
    ) -> None:
        if trouble is not RedisServer.kill:  # for `kill`, Redis is down from the first call on
            assert await can_acquire(watched.leases) is True
            assert watched.fallbacks == 0
        with capture_logs() as logs:
            trouble(redis)
            for wait in (True, False):
                async with asyncio.timeout(SOON), watched.leases.hold(KEY, wait=wait) as one:
                    assert one is True
            await asyncio.sleep(0.6)  # Redis is asked again, without a second warning
            async with asyncio.timeout(SOON), watched.leases.hold(KEY) as one, watched.leases.hold(KEY) as two:
                assert (one, two) == (True, True)
            assert watched.fallbacks >= 2
            redis.refresh()

            async def it_excludes_again() -> bool:
                async with watched.leases.hold(KEY):
                    return not await can_acquire(watched.leases)

            await until(it_excludes_again)
            fallbacks = watched.fallbacks
            assert await it_excludes_again()
            assert watched.fallbacks == fallbacks
        assert [(entry["log_level"], entry["event"]) for entry in logs] == [
            ("warning", "Redis unavailable, leases granted without it"),
            ("info", "Redis available again, leases granted by it"),
        ]

    async def test_waiter_is_granted_the_lease_when_redis_fails(
        self, redis: RedisServer, watched: Watched, trouble: Callable[[RedisServer], None]
    ) -> None:
        holds = asyncio.Event()
        async with watched.leases.hold(KEY):
            waiter = asyncio.create_task(hold_forever(watched.leases, holds))
            await asyncio.sleep(0.2)
            assert not holds.is_set()
            trouble(redis)
            async with asyncio.timeout(SOON):
                await holds.wait()
        await cancel(waiter)
        assert watched.fallbacks >= 1

    async def test_holder_is_not_affected_when_redis_fails(
        self, redis: RedisServer, watched: Watched, trouble: Callable[[RedisServer], None]
    ) -> None:
        async with asyncio.timeout(LEASE + SOON):
            async with watched.leases.hold(KEY) as held:
                assert held is True
                trouble(redis)
                await asyncio.sleep(LEASE / 3 + 0.2)
        redis.refresh()
        await self.assert_leases_work(redis)

    async def test_lease_is_lost_when_redis_loses_its_data(self, redis: RedisServer, watched: Watched) -> None:
        async with watched.leases.hold(KEY):
            redis.empty()
            async with asyncio.timeout(SOON), watched.leases.hold(KEY) as another:
                assert another is True
        await self.assert_leases_work(redis)

    @pytest.mark.serial  # 400 renewals a second that each wait a second at most
    async def test_hundreds_of_leases_need_no_fallback(self, redis: RedisServer) -> None:
        watched = Watched(RedisLeaseStore(redis.url, metrics := Metrics()), metrics)
        async with asyncio.timeout(GUARD), AsyncExitStack() as leases:
            holds = [watched.leases.hold(f"images/crowd/{number}.jpg") for number in range(400)]
            assert await asyncio.gather(*(leases.enter_async_context(hold) for hold in holds)) == [True] * 400
        await watched.leases.close()
        assert watched.fallbacks == 0

    @pytest.mark.serial  # on a busy machine, a renewal may be late, and the lease is granted again
    async def test_lost_lease_does_not_release_the_next_holders(self, redis: RedisServer) -> None:
        """A holder whose lease was lost does not release the next holder's."""
        one, two = (RedisLeaseStore(redis.url, Metrics(), lease_seconds=LEASE) for _ in range(2))
        async with AsyncExitStack() as later:
            async with one.hold(KEY):
                with redis.client() as client:
                    client.flushall()
                await later.enter_async_context(two.hold(KEY))
            assert await can_acquire(one) is False
            await asyncio.sleep(LEASE / 3 * 1.5)  # it neither renews nor releases the other lease
            assert await can_acquire(one) is False
        assert await can_acquire(one) is True
        await one.close()
        await two.close()

    async def test_wrong_password_grants_leases_with_one_warning(self, redis: RedisServer) -> None:
        metrics = Metrics()
        leases = RedisLeaseStore(redis.url.replace("//", "//stranger:wrong@"), metrics)
        with capture_logs() as logs:
            async with asyncio.timeout(SOON), leases.hold(KEY) as one, leases.hold(KEY) as two:
                assert (one, two) == (True, True)
        assert [entry["log_level"] for entry in logs] == ["warning"]
        assert "wrong" not in str(logs)
        await leases.close()
