"""Who may use a render process next, and who is turned away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.errors import Overloaded
from proxy.imaging.admission import Admission, Priority

LIVE, BACKGROUND = Priority.LIVE, Priority.BACKGROUND
FOREVER = 60  # seconds: more than any test takes


class Callers:
    """Tasks that enter, say so, and stay until they are told to go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.entered: list[str] = []
        self._exits: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, name: str, priority: Priority = LIVE) -> None:
        self._exits[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, priority))
        await settle()

    async def leave(self, name: str) -> None:
        self._exits[name].set()
        await settle()

    async def _stay(self, name: str, priority: Priority) -> None:
        async with self.admission.admit(priority):
            self.entered.append(name)
            await self._exits[name].wait()


async def settle() -> None:
    """Lets every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def callers(*, slots: int = 1, max_waiting: int = 10, patience: float = FOREVER) -> AsyncIterator[Callers]:
    those = Callers(Admission(slots, max_waiting=max_waiting, patience=patience))
    try:
        yield those
    finally:
        for task in those.tasks.values():
            task.cancel()
        await asyncio.gather(*those.tasks.values(), return_exceptions=True)


async def test_as_many_enter_as_there_are_slots() -> None:
    async with callers(slots=2) as those:
        for name in "abc":
            await those.arrive(name)

        assert those.entered == ["a", "b"]
        assert those.admission.waiting == 1


async def test_each_who_leaves_lets_the_next_in_first_come_first_served() -> None:
    async with callers() as those:
        for name in "abc":
            await those.arrive(name)

        await those.leave("a")
        assert those.entered == ["a", "b"]
        await those.leave("b")
        assert those.entered == ["a", "b", "c"]
        assert those.admission.waiting == 0


async def test_live_goes_before_background_whoever_came_first() -> None:
    async with callers() as those:
        await those.arrive("a")
        await those.arrive("background", BACKGROUND)
        await those.arrive("live")

        await those.leave("a")
        assert those.entered == ["a", "live"]
        await those.leave("live")
        assert those.entered == ["a", "live", "background"]


async def test_background_uses_what_live_leaves() -> None:
    async with callers(slots=2) as those:
        await those.arrive("live")
        await those.arrive("background", BACKGROUND)

        assert those.entered == ["live", "background"]


async def test_one_too_many_waiting_is_told_at_once_when_to_come_back() -> None:
    async with callers(max_waiting=2) as those:
        for name in "abc":
            await those.arrive(name)

        with pytest.raises(Overloaded) as raised:
            async with those.admission.admit(LIVE):
                pass

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert those.entered == ["a"]
        assert those.admission.waiting == 2


async def test_with_no_room_to_wait_a_free_slot_is_still_given() -> None:
    async with callers(max_waiting=0) as those:
        await those.arrive("a")
        assert those.entered == ["a"]

        with pytest.raises(Overloaded):
            async with those.admission.admit(LIVE):
                pass

        await those.leave("a")
        await those.arrive("b")
        assert those.entered == ["a", "b"]


async def test_background_waits_in_any_number_and_beyond_all_patience() -> None:
    async with callers(max_waiting=1, patience=0.01) as those:
        await those.arrive("a")
        for name in ("b", "c", "d"):
            await those.arrive(name, BACKGROUND)
        await asyncio.sleep(0.05)

        assert those.admission.waiting == 3
        await those.leave("a")
        assert those.entered == ["a", "b"]


async def test_background_takes_no_room_to_wait_from_live() -> None:
    async with callers(max_waiting=1) as those:
        await those.arrive("a")
        await those.arrive("b", BACKGROUND)
        await those.arrive("c", BACKGROUND)
        await those.arrive("live")

        await those.leave("a")
        assert those.entered == ["a", "live"]


async def test_who_waited_in_vain_is_told_when_to_come_back_and_waits_no_more() -> None:
    async with callers(patience=0.01) as those:
        await those.arrive("a")

        with pytest.raises(Overloaded) as raised:
            async with those.admission.admit(LIVE):
                pass

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert those.admission.waiting == 0
        await those.leave("a")
        await those.arrive("b")
        assert those.entered == ["a", "b"]


async def test_retry_after_grows_with_those_who_wait() -> None:
    async with callers(max_waiting=40) as those:
        for number in range(41):
            await those.arrive(str(number))

        with pytest.raises(Overloaded) as raised:
            async with those.admission.admit(LIVE):
                pass

    assert raised.value.retry_after == 9  # 41 before whoever comes next, at 0.2 seconds each until one has ended


@pytest.mark.parametrize("priority", Priority)
async def test_who_stops_waiting_frees_their_place_in_the_queue(priority: Priority) -> None:
    async with callers(max_waiting=1) as those:
        await those.arrive("a")
        await those.arrive("b", priority)

        those.tasks["b"].cancel()
        await settle()

        assert those.admission.waiting == 0
        await those.arrive("c")
        await those.leave("a")
        assert those.entered == ["a", "c"]


@pytest.mark.parametrize("priority", Priority)
async def test_a_slot_given_to_one_who_is_just_leaving_is_not_lost(priority: Priority) -> None:
    async with callers() as those:
        await those.arrive("a")
        await those.arrive("b", priority)

        those._exits["a"].set()
        await asyncio.sleep(0)  # "a" leaves and hands its slot to "b", which has not run yet
        those.tasks["b"].cancel()
        await settle()

        assert those.tasks["b"].cancelled()
        await those.arrive("c")
        assert those.entered == ["a", "c"]


async def test_a_slot_given_to_one_who_is_just_leaving_goes_to_the_next_who_waits() -> None:
    async with callers() as those:
        for name in "abc":
            await those.arrive(name)

        those._exits["a"].set()
        await asyncio.sleep(0)
        those.tasks["b"].cancel()
        await settle()

        assert those.entered == ["a", "c"]


async def test_one_who_leaves_just_before_being_given_a_slot_is_passed_over() -> None:
    async with callers() as those:
        for name in "abc":
            await those.arrive(name)

        those._exits["a"].set()
        those.tasks["b"].cancel()  # when "a" runs and leaves, "b" is cancelled but still in the queue
        await settle()

        assert those.tasks["a"].done()
        assert those.entered == ["a", "c"]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_slot_is_freed_however_its_use_ends(error: type[BaseException]) -> None:
    admission = Admission(1, max_waiting=0, patience=FOREVER)

    with pytest.raises(error):
        async with admission.admit(LIVE):
            raise error

    async with admission.admit(LIVE):
        assert admission.waiting == 0


async def test_after_any_coming_and_going_all_slots_are_there() -> None:
    async with callers(slots=3, max_waiting=100) as those:
        for number in range(60):
            await those.arrive(str(number), LIVE if number % 3 else BACKGROUND)
        for number in range(60):
            if number % 4 == 0:
                those.tasks[str(number)].cancel()
            await those.leave(str(number))
        await asyncio.gather(*those.tasks.values(), return_exceptions=True)

        assert those.admission.waiting == 0
        for name in "abcd":
            await those.arrive(name)
        assert those.entered[-3:] == ["a", "b", "c"]
