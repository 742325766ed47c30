"""What every LeaseStore promises: to its users in one process, in two, and after one has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.lease_store import LeaseStore, NoLeases
from proxy.variants.leases.redis_leases import LEASE_SECONDS, RedisLeaseStore
from tests.contracts.locks import KEY, LEASE, OTHER, Locks, can_have, end, hold_for_ever
from tests.contracts.waiting import GUARD
from tests.redis_server import RedisServer


@pytest.fixture(params=["file", "file-of-two", "redis", "redis-of-two"])
async def locks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Locks]:
    """`brief`: of leases that last a third as long as otherwise."""
    kind, *more = request.param.split("-")
    place = str(tmp_path / "locks") if kind == "file" else request.getfixturevalue("redis").url

    def open_leases() -> LeaseStore:
        lease = LEASE if "brief" in more else LEASE_SECONDS
        return FileLeaseStore(Path(place)) if kind == "file" else RedisLeaseStore(place, Metrics(), lease_seconds=lease)

    first = open_leases()
    second = open_leases() if "two" in more else first
    yield Locks(first, second, (kind, place))
    await first.close()
    await second.close()


class TestHolding:
    async def test_one_at_a_time_has_it(self, locks: Locks) -> None:
        inside, most, turns = 0, 0, 0

        async def work(lock: LeaseStore) -> None:
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

    @pytest.mark.parametrize("locks", ["file", "redis-of-two-brief"], indirect=True)
    async def test_it_outlasts_its_time_limit_while_the_work_goes_on(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            await asyncio.sleep(LEASE * 1.5)
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

    async def test_waiter_cancelled_at_any_step_ends(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            for steps in range(120):
                waiter = asyncio.create_task(hold_for_ever(locks.two, asyncio.Event()))
                for _ in range(steps):
                    await asyncio.sleep(0)
                await end(waiter)

    async def test_holder_leaving_at_any_step_of_a_renewal_ends_it(self, redis: RedisServer) -> None:
        lock = RedisLeaseStore(redis.url, Metrics(), lease_seconds=0.09)  # renewed each 30 milliseconds

        async def hold_for(steps: int) -> None:
            async with lock.hold(KEY):
                await asyncio.sleep(0.03)
                for _ in range(steps):
                    await asyncio.sleep(0)

        async with asyncio.timeout(GUARD):
            for steps in range(40):
                await hold_for(steps)
        await lock.close()

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


@pytest.mark.parametrize("locks", ["file", "redis-brief"], indirect=True)
class TestAnotherProcess:
    async def test_shares_the_leases(self, locks: Locks) -> None:
        async with locks.held_elsewhere(KEY):
            assert await can_have(locks.one) is False
            assert await can_have(locks.one, OTHER) is True

    async def test_that_is_killed_frees_what_it_held(self, locks: Locks) -> None:
        async with locks.held_elsewhere(KEY) as holder:
            holder.kill()
            async with asyncio.timeout(LEASE + 2), locks.one.hold(KEY) as held:
                assert held is True


async def test_files_that_cannot_be_made_are_done_without(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("in the way")
    lock = FileLeaseStore(tmp_path / "locks")

    async with asyncio.timeout(GUARD), lock.hold(KEY) as one, lock.hold(KEY) as two:
        assert (one, two) == (True, True)


async def test_there_is_an_end_of_files(tmp_path: Path) -> None:
    """Anybody can ask for ids without end, and a file that is held can not be removed without a race."""
    lock = FileLeaseStore(tmp_path)
    for number in range(700):
        async with lock.hold(f"images/{number}/small.jpg"):
            pass

    names = {path.stem for path in tmp_path.iterdir()}
    assert 650 < len(names) < 700  # of 65,536, some were met again
    assert {len(name) for name in names} == {4}


async def test_a_process_that_is_alone_needs_none() -> None:
    lock = NoLeases()

    async with asyncio.timeout(GUARD), lock.hold(KEY) as one, lock.hold(KEY) as two:
        assert (one, two) == (True, True)
    await lock.close()
