"""The contract of every LeaseStore, within one process and across processes."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.lease_store import RELEASED_SECONDS, LeaseStore, NoLeases
from proxy.variants.leases.redis_leases import LEASE_SECONDS, RedisLeaseStore
from tests.contracts.leases_under_test import (
    KEY,
    LEASE,
    OTHER,
    TwoClients,
    can_acquire,
    cancel,
    hold_forever,
)
from tests.redis_server import RedisServer
from tests.waiting import GUARD


@pytest.fixture(params=["file", "file-of-two", "redis", "redis-of-two"])
async def clients(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TwoClients]:
    """`brief`: with a third of the default time limit. `strict`: with the default deadline of commands."""
    kind, *more = request.param.split("-")
    place = str(tmp_path / "locks") if kind == "file" else request.getfixturevalue("redis").url

    def open_leases() -> LeaseStore:
        if kind == "file":
            return FileLeaseStore(Path(place))
        lease = LEASE if "brief" in more else LEASE_SECONDS
        deadline = {} if "strict" in more else {"answer_seconds": GUARD}
        return RedisLeaseStore(place, Metrics(), lease_seconds=lease, **deadline)

    first = open_leases()
    second = open_leases() if "two" in more else first
    yield TwoClients(first, second, (kind, place))
    await first.close()
    await second.close()


class TestHolding:
    async def test_lease_has_one_holder_at_a_time(self, clients: TwoClients) -> None:
        inside, most, turns = 0, 0, 0

        async def work(leases: LeaseStore) -> None:
            nonlocal inside, most, turns
            async with leases.hold(KEY) as held:
                assert held is True
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.005)
                inside -= 1
                turns += 1

        async with asyncio.timeout(GUARD):
            await asyncio.gather(*(work(leases) for leases in (clients.one, clients.two) * 8))

        assert (most, turns) == (1, 16)

    @pytest.mark.parametrize("clients", ["file-of-two", "redis-strict", "redis-of-two-strict"], indirect=True)
    @pytest.mark.serial  # on a busy machine, Redis itself may miss the deadline
    async def test_busy_event_loop_gives_no_lease_to_two(self, clients: TwoClients) -> None:
        """A deadline passes while the answer waits to be read: that is no failure of Redis."""
        inside, most = 0, 0

        async def work(leases: LeaseStore) -> None:
            nonlocal inside, most
            async with leases.hold(KEY):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        def stall() -> None:
            time.sleep(0.8)  # longer than the deadline of a command, shorter than a lease

        async with asyncio.timeout(GUARD):
            asyncio.get_running_loop().call_later(0.02, stall)
            await asyncio.gather(*(work(leases) for leases in (clients.one, clients.two) * 8))

        assert most == 1

    async def test_other_keys_are_free(self, clients: TwoClients) -> None:
        async with asyncio.timeout(GUARD), clients.one.hold(KEY), clients.two.hold(OTHER) as held:
            assert held is True

    async def test_held_lease_without_waiting_yields_false(self, clients: TwoClients) -> None:
        async with clients.one.hold(KEY):
            assert await can_acquire(clients.two) is False
            assert await can_acquire(clients.two) is False
        assert await can_acquire(clients.two) is True

    async def test_refused_caller_does_not_release_the_lease(self, clients: TwoClients) -> None:
        async with clients.one.hold(KEY):
            async with clients.two.hold(KEY, wait=False) as held:
                assert held is False
            assert await can_acquire(clients.one) is False

    @pytest.mark.slow
    async def test_many_leases_are_held_at_once(self, clients: TwoClients) -> None:
        """A warm-up does this. Keys that share a lock file are refused, without harm."""
        keys = [f"images/many/{number}.jpg" for number in range(200)]
        async with asyncio.timeout(GUARD), AsyncExitStack() as leases:
            held = [await leases.enter_async_context(clients.one.hold(key, wait=False)) for key in keys]
        assert held.count(True) > 150
        assert [await can_acquire(clients.two, key) for key in keys] == [True] * 200

    async def test_hundreds_of_callers_get_their_leases(self, clients: TwoClients) -> None:
        """A busy proxy has as many callers. None may be granted a lease because of an error."""
        turns = 0

        async def work(number: int) -> None:
            nonlocal turns
            async with clients.one.hold(f"images/hundreds/{number}.jpg") as held:
                assert held is True
                turns += 1

        async with asyncio.timeout(GUARD):
            await asyncio.gather(*(work(number) for number in range(400)))
        assert turns == 400

    @pytest.mark.parametrize("clients", ["file", "redis-of-two-brief"], indirect=True)
    @pytest.mark.serial  # on a busy machine, Redis or the renewal may be late, and the lease is granted again
    async def test_held_lease_is_renewed(self, clients: TwoClients) -> None:
        async with clients.one.hold(KEY):
            await asyncio.sleep(LEASE * 1.5)
            assert await can_acquire(clients.two) is False
        assert await can_acquire(clients.two) is True


class TestFreeing:
    async def test_lease_is_released_when_the_block_raises(self, clients: TwoClients) -> None:
        with pytest.raises(KeyError):
            async with clients.one.hold(KEY):
                raise KeyError

        assert await can_acquire(clients.two) is True

    async def test_lease_is_released_when_the_holder_is_cancelled(self, clients: TwoClients) -> None:
        holds = asyncio.Event()
        holder = asyncio.create_task(hold_forever(clients.one, holds))
        await holds.wait()
        assert await can_acquire(clients.two) is False

        await cancel(holder)

        assert holder.cancelled()
        assert await can_acquire(clients.two) is True

    async def test_cancelled_waiters_leave_nothing_behind(self, clients: TwoClients) -> None:
        async with clients.one.hold(KEY):
            waiters = [asyncio.create_task(hold_forever(clients.two, asyncio.Event())) for _ in range(5)]
            await asyncio.sleep(0.2)
            for waiter in waiters:
                await cancel(waiter)
            assert [waiter.cancelled() for waiter in waiters] == [True] * 5
            assert await can_acquire(clients.two) is False
        assert await can_acquire(clients.two) is True

    async def test_waiter_cancelled_at_any_step_ends(self, clients: TwoClients) -> None:
        async with clients.one.hold(KEY):
            for steps in range(120):
                waiter = asyncio.create_task(hold_forever(clients.two, asyncio.Event()))
                for _ in range(steps):
                    await asyncio.sleep(0)
                await cancel(waiter)

    async def test_lease_is_released_at_any_step_of_a_renewal(self, redis: RedisServer) -> None:
        leases = RedisLeaseStore(
            redis.url, Metrics(), lease_seconds=0.09, answer_seconds=GUARD
        )  # renewed each 30 milliseconds

        async def hold_for(steps: int) -> None:
            async with leases.hold(KEY):
                await asyncio.sleep(0.03)
                for _ in range(steps):
                    await asyncio.sleep(0)

        async with asyncio.timeout(GUARD):
            for steps in range(40):
                await hold_for(steps)
        await leases.close()

    async def test_lease_can_be_released_by_another_task(self, clients: TwoClients) -> None:
        """A write-back does this after a derivation."""

        async def take() -> AsyncExitStack:
            async with AsyncExitStack() as lease:
                await lease.enter_async_context(clients.one.hold(KEY))
                return lease.pop_all()

        lease = await asyncio.create_task(take())
        assert await can_acquire(clients.two) is False

        await asyncio.create_task(lease.aclose())

        assert await can_acquire(clients.two) is True

    async def test_waiter_gets_the_released_lease(self, clients: TwoClients) -> None:
        holds = asyncio.Event()
        async with clients.one.hold(KEY):
            waiter = asyncio.create_task(hold_forever(clients.two, holds))
            await asyncio.sleep(0.1)
            assert not holds.is_set()
        async with asyncio.timeout(GUARD):
            await holds.wait()
        await cancel(waiter)


class TestRelease:
    async def test_release_is_remembered_for_the_next_holder(self, clients: TwoClients) -> None:
        async with clients.one.hold(KEY):
            pass

        async with clients.two.hold(KEY):
            assert await clients.two.was_released(KEY) is True

    async def test_release_of_redis_leases_is_forgotten_after_seconds(self, redis: RedisServer) -> None:
        leases = RedisLeaseStore(redis.url, Metrics(), answer_seconds=GUARD)
        async with leases.hold(KEY):
            assert await leases.was_released(KEY) is False

        assert await leases.was_released(KEY) is True
        assert await leases.was_released(OTHER) is False
        with redis.client() as client:
            assert 5_000 < client.pttl(f"darkroom:released:{KEY}") <= RELEASED_SECONDS * 1000
            client.delete(f"darkroom:released:{KEY}")
        assert await leases.was_released(KEY) is False
        await leases.close()

    async def test_release_of_lock_files_is_forgotten_after_seconds(self, tmp_path: Path) -> None:
        leases = FileLeaseStore(tmp_path)
        assert await leases.was_released(KEY) is False
        async with leases.hold(KEY):
            pass
        assert await leases.was_released(KEY) is True
        [path] = tmp_path.iterdir()

        for age, remembered in [(RELEASED_SECONDS / 2, True), (RELEASED_SECONDS, False)]:
            os.utime(path, (time.time() - age,) * 2)
            async with leases.hold(KEY):
                assert await leases.was_released(KEY) is remembered


@pytest.mark.parametrize("clients", ["file", "redis"], indirect=True)
class TestAnotherProcess:
    async def test_other_process_shares_the_leases(self, clients: TwoClients) -> None:
        async with clients.held_elsewhere(KEY):
            assert await can_acquire(clients.one) is False
            assert await can_acquire(clients.one, OTHER) is True

    async def test_killed_process_releases_its_lease(self, clients: TwoClients) -> None:
        async with clients.held_elsewhere(KEY) as holder:
            holder.kill()
            async with asyncio.timeout(GUARD), clients.one.hold(KEY) as held:
                assert held is True


async def test_unusable_lock_files_grant_leases(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("in the way")
    leases = FileLeaseStore(tmp_path / "locks")

    async with asyncio.timeout(GUARD), leases.hold(KEY) as one, leases.hold(KEY) as two:
        assert (one, two) == (True, True)
        assert await leases.was_released(KEY) is False


async def test_number_of_lock_files_is_bounded(tmp_path: Path) -> None:
    """Clients can request any number of ids, and removing a locked file would be a race."""
    leases = FileLeaseStore(tmp_path)
    for number in range(700):
        async with leases.hold(f"images/{number}/small.jpg"):
            pass

    names = {path.stem for path in tmp_path.iterdir()}
    assert 650 < len(names) < 700  # of 65,536; a few keys share one
    assert {len(name) for name in names} == {4}


async def test_no_leases_grants_everything() -> None:
    leases = NoLeases()

    async with asyncio.timeout(GUARD), leases.hold(KEY) as one, leases.hold(KEY) as two:
        assert (one, two) == (True, True)
    assert await leases.was_released(KEY) is False
    await leases.close()
