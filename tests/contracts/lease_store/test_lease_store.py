"""The contract of every LeaseStore, within one process and across processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.lease_store import LeaseStore, NoLeases
from proxy.variants.leases.redis_leases import LEASE_SECONDS, RedisLeaseStore
from tests.contracts.locks import KEY, LEASE, OTHER, Locks, can_acquire, cancel, hold_forever
from tests.contracts.waiting import GUARD
from tests.redis_server import RedisServer


@pytest.fixture(params=["file", "file-of-two", "redis", "redis-of-two"])
async def locks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Locks]:
    """`brief`: with a time limit of a third of the default."""
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
    async def test_lease_has_one_holder_at_a_time(self, locks: Locks) -> None:
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

    async def test_taken_lease_without_waiting_yields_false(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            assert await can_acquire(locks.two) is False
            assert await can_acquire(locks.two) is False
        assert await can_acquire(locks.two) is True

    async def test_refused_caller_does_not_release_the_lease(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            async with locks.two.hold(KEY, wait=False) as held:
                assert held is False
            assert await can_acquire(locks.one) is False

    async def test_many_leases_are_held_at_once(self, locks: Locks) -> None:
        """As in a warm-up. Keys may share a lock file; their leases are refused, without harm."""
        keys = [f"images/many/{number}.jpg" for number in range(200)]
        async with asyncio.timeout(GUARD), AsyncExitStack() as leases:
            held = [await leases.enter_async_context(locks.one.hold(key, wait=False)) for key in keys]
        assert held.count(True) > 150
        assert [await can_acquire(locks.two, key) for key in keys] == [True] * 200

    async def test_hundreds_of_callers_get_their_leases(self, locks: Locks) -> None:
        """A busy proxy has as many callers; none may be granted a lease by fallback."""
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
    async def test_lease_is_renewed_while_it_is_held(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            await asyncio.sleep(LEASE * 1.5)
            assert await can_acquire(locks.two) is False
        assert await can_acquire(locks.two) is True


class TestFreeing:
    async def test_lease_is_released_when_the_block_raises(self, locks: Locks) -> None:
        with pytest.raises(KeyError):
            async with locks.one.hold(KEY):
                raise KeyError

        assert await can_acquire(locks.two) is True

    async def test_lease_is_released_when_the_holder_is_cancelled(self, locks: Locks) -> None:
        holds = asyncio.Event()
        holder = asyncio.create_task(hold_forever(locks.one, holds))
        await holds.wait()
        assert await can_acquire(locks.two) is False

        await cancel(holder)

        assert holder.cancelled()
        assert await can_acquire(locks.two) is True

    async def test_cancelled_waiters_leave_nothing_behind(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            waiters = [asyncio.create_task(hold_forever(locks.two, asyncio.Event())) for _ in range(5)]
            await asyncio.sleep(0.2)
            for waiter in waiters:
                await cancel(waiter)
            assert [waiter.cancelled() for waiter in waiters] == [True] * 5
            assert await can_acquire(locks.two) is False
        assert await can_acquire(locks.two) is True

    async def test_waiter_cancelled_at_any_step_ends(self, locks: Locks) -> None:
        async with locks.one.hold(KEY):
            for steps in range(120):
                waiter = asyncio.create_task(hold_forever(locks.two, asyncio.Event()))
                for _ in range(steps):
                    await asyncio.sleep(0)
                await cancel(waiter)

    async def test_lease_is_released_at_any_step_of_a_renewal(self, redis: RedisServer) -> None:
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

    async def test_lease_can_be_released_by_another_task(self, locks: Locks) -> None:
        """As a write-back does after a derivation."""

        async def take() -> AsyncExitStack:
            async with AsyncExitStack() as lease:
                await lease.enter_async_context(locks.one.hold(KEY))
                return lease.pop_all()

        lease = await asyncio.create_task(take())
        assert await can_acquire(locks.two) is False

        await asyncio.create_task(lease.aclose())

        assert await can_acquire(locks.two) is True

    async def test_waiter_gets_the_released_lease(self, locks: Locks) -> None:
        holds = asyncio.Event()
        async with locks.one.hold(KEY):
            waiter = asyncio.create_task(hold_forever(locks.two, holds))
            await asyncio.sleep(0.1)
            assert not holds.is_set()
        async with asyncio.timeout(GUARD):
            await holds.wait()
        await cancel(waiter)


@pytest.mark.parametrize("locks", ["file", "redis-brief"], indirect=True)
class TestAnotherProcess:
    async def test_other_process_shares_the_leases(self, locks: Locks) -> None:
        async with locks.held_elsewhere(KEY):
            assert await can_acquire(locks.one) is False
            assert await can_acquire(locks.one, OTHER) is True

    async def test_killed_process_releases_its_lease(self, locks: Locks) -> None:
        async with locks.held_elsewhere(KEY) as holder:
            holder.kill()
            async with asyncio.timeout(LEASE + 2), locks.one.hold(KEY) as held:
                assert held is True


async def test_unusable_lock_files_grant_leases(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("in the way")
    lock = FileLeaseStore(tmp_path / "locks")

    async with asyncio.timeout(GUARD), lock.hold(KEY) as one, lock.hold(KEY) as two:
        assert (one, two) == (True, True)


async def test_number_of_lock_files_is_bounded(tmp_path: Path) -> None:
    """Clients can request any number of ids, and removing a locked file is a race."""
    lock = FileLeaseStore(tmp_path)
    for number in range(700):
        async with lock.hold(f"images/{number}/small.jpg"):
            pass

    names = {path.stem for path in tmp_path.iterdir()}
    assert 650 < len(names) < 700  # of 65,536; a few keys share one
    assert {len(name) for name in names} == {4}


async def test_no_leases_grants_everything() -> None:
    lock = NoLeases()

    async with asyncio.timeout(GUARD), lock.hold(KEY) as one, lock.hold(KEY) as two:
        assert (one, two) == (True, True)
    await lock.close()
