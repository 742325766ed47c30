"""Who may use a render process next, and who is turned away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from random import Random

import pytest

from proxy.errors import Overloaded
from proxy.rendering.admission import MAX_PASSES, Admission, Priority
from proxy.telemetry import Metrics
from tests.fakes import sample

LIVE, BACKGROUND = Priority.LIVE, Priority.BACKGROUND
FOREVER = 60  # seconds: more than any test takes
ROOM = 100  # bytes, of which most callers cost one


class Callers:
    """Tasks that enter, say so, and stay until they are told to go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.entered: list[str] = []
        self._exits: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, name: str, priority: Priority = LIVE, *, cost: int = 1) -> None:
        self._exits[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, priority, cost))
        await settle()

    async def leave(self, name: str) -> None:
        self._exits[name].set()
        await settle()

    async def _stay(self, name: str, priority: Priority, cost: int) -> None:
        turn = await self.admission.admit(priority, cost)
        try:
            self.entered.append(name)
            await self._exits[name].wait()
        finally:
            self.admission.release(turn)


async def settle() -> None:
    """Lets every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def callers(
    *, slots: int = 1, room: int = ROOM, max_waiting: int = 10, patience: float = FOREVER
) -> AsyncIterator[Callers]:
    those = Callers(Admission(slots, room, max_waiting=max_waiting, patience=patience, metrics=Metrics()))
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


@pytest.mark.promise("C11")
async def test_one_too_many_waiting_is_told_at_once_when_to_come_back() -> None:
    async with callers(max_waiting=2) as those:
        for name in "abc":
            await those.arrive(name)

        with pytest.raises(Overloaded) as raised:
            await those.admission.admit(LIVE, 1)

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert those.entered == ["a"]
        assert those.admission.waiting == 2


async def test_with_no_room_to_wait_a_free_slot_is_still_given() -> None:
    async with callers(max_waiting=0) as those:
        await those.arrive("a")
        assert those.entered == ["a"]

        with pytest.raises(Overloaded):
            await those.admission.admit(LIVE, 1)

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
            await those.admission.admit(LIVE, 1)

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
            await those.admission.admit(LIVE, 1)

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
        assert those.admission.reserved_bytes == 0
        for name in "abcd":
            await those.arrive(name)
        assert those.entered[-3:] == ["a", "b", "c"]


# Memory


async def test_who_does_not_fit_beside_the_others_waits_with_a_slot_free() -> None:
    async with callers(slots=3) as those:
        await those.arrive("a", cost=60)
        await those.arrive("b", cost=41)
        assert those.entered == ["a"]
        assert those.admission.reserved_bytes == 60

        await those.leave("a")
        assert those.entered == ["a", "b"]
        assert those.admission.reserved_bytes == 41


async def test_together_they_never_cost_more_than_there_is_room() -> None:
    random = Random(7)
    async with callers(slots=4, max_waiting=1000) as those:
        for number in range(300):
            await those.arrive(str(number), LIVE if number % 3 else BACKGROUND, cost=random.randint(1, ROOM))
            if number % 5 == 0:
                those.tasks[str(random.randint(0, number))].cancel()
            if number % 2:
                await those.leave(str(random.randint(0, number)))
            assert those.admission.reserved_bytes <= ROOM
        for number in range(300):
            await those.leave(str(number))
        await asyncio.gather(*those.tasks.values(), return_exceptions=True)

        assert (those.admission.waiting, those.admission.reserved_bytes) == (0, 0)


async def test_a_lighter_one_passes_one_who_waits_for_memory() -> None:
    async with callers(slots=3) as those:
        await those.arrive("a", cost=60)
        await those.arrive("heavy", cost=100)
        await those.arrive("light", cost=40)
        await those.arrive("light too", cost=1)

        assert those.entered == ["a", "light"]


async def test_one_who_waits_for_memory_is_passed_only_so_often_and_then_goes_first() -> None:
    async with callers(slots=2, max_waiting=100) as those:
        await those.arrive("a", cost=10)
        await those.arrive("heavy", cost=95)
        lights = [f"light {number}" for number in range(MAX_PASSES + 2)]
        for light in lights:
            await those.arrive(light, cost=10)
            await those.leave(light)
        assert those.entered == ["a", *lights[:MAX_PASSES]]

        await those.leave("a")
        assert those.entered[-1] == "heavy"
        await those.leave("heavy")
        assert those.entered[-2:] == lights[MAX_PASSES:]


async def test_heavy_ones_do_not_keep_a_light_one_waiting_behind_those_who_came_after_it() -> None:
    async with callers(slots=2) as those:
        await those.arrive("a", cost=100)
        await those.arrive("heavy", cost=100)
        await those.arrive("light", cost=1)
        await those.arrive("heavy too", cost=100)

        await those.leave("a")
        await those.leave("heavy")
        assert those.entered == ["a", "heavy", "light"]


async def test_a_live_one_goes_before_a_background_one_that_has_been_passed_enough() -> None:
    async with callers(slots=2, max_waiting=100) as those:
        await those.arrive("a", cost=10)
        await those.arrive("heavy", BACKGROUND, cost=95)
        for number in range(MAX_PASSES):
            await those.arrive(str(number), BACKGROUND, cost=10)
            await those.leave(str(number))

        await those.arrive("background", BACKGROUND)
        await those.arrive("live")

        assert those.entered[-1] == "live"


async def test_a_background_one_does_not_pass_a_live_one_for_ever() -> None:
    async with callers(slots=2, max_waiting=100) as those:
        await those.arrive("a", cost=10)
        await those.arrive("heavy", cost=95)
        for number in range(MAX_PASSES + 1):
            await those.arrive(str(number), BACKGROUND, cost=10)
            await those.leave(str(number))

        assert len(those.entered) == 1 + MAX_PASSES


@pytest.mark.parametrize("priority", Priority)
async def test_who_gives_up_waiting_for_memory_lets_those_in_whom_it_held_back(priority: Priority) -> None:
    async with callers(slots=2, max_waiting=100) as those:
        await those.arrive("a", cost=10)
        await those.arrive("heavy", priority, cost=95)
        for number in range(MAX_PASSES + 1):
            await those.arrive(str(number), BACKGROUND, cost=10)
            await those.leave(str(number))
        last = str(MAX_PASSES)
        assert last not in those.entered

        those.tasks["heavy"].cancel()
        await settle()

        assert those.entered[-1] == last


async def test_room_given_to_one_who_is_just_leaving_is_given_on_exactly() -> None:
    async with callers(slots=2) as those:
        await those.arrive("a", cost=100)
        await those.arrive("b", cost=70)
        await those.arrive("c", cost=90)

        those._exits["a"].set()
        await asyncio.sleep(0)
        those.tasks["b"].cancel()
        await settle()

        assert those.entered == ["a", "c"]
        assert those.admission.reserved_bytes == 90


async def test_who_waited_for_memory_in_vain_is_told_when_there_should_be_some() -> None:
    async with callers(slots=9, patience=0.01) as those:
        await those.arrive("a", cost=100)
        with pytest.raises(Overloaded):
            await those.admission.admit(LIVE, 1)

        await those.leave("a")
        await those.arrive("b", cost=100)
        assert those.entered == ["a", "b"]


async def test_retry_after_counts_who_fits_beside_whom() -> None:
    async with callers(slots=4, max_waiting=8) as those:
        for name in "abcdefghi":
            await those.arrive(name, cost=60)

        with pytest.raises(Overloaded) as raised:
            await those.admission.admit(LIVE, 60)

    assert raised.value.retry_after == 2  # nine before it, one at a time for all the slots, at 0.2 seconds each


async def test_retry_after_learns_from_how_long_those_inside_have_been_there() -> None:
    async with callers(max_waiting=2) as those:
        for name in "abc":
            await those.arrive(name)
        next(iter(those.admission._inside)).entered -= 4

        with pytest.raises(Overloaded) as raised:
            await those.admission.admit(LIVE, 1)

    assert raised.value.retry_after == 13  # three before it, at four seconds and a little each


async def test_waits_and_refusals_are_measured() -> None:
    metrics = Metrics()
    admission = Admission(1, ROOM, max_waiting=1, patience=0.01, metrics=metrics)
    inside = await admission.admit(BACKGROUND, 1)
    waiting = asyncio.create_task(admission.admit(LIVE, 1))
    await settle()
    for _ in range(2):
        with pytest.raises(Overloaded):
            await admission.admit(LIVE, 1)
    with pytest.raises(Overloaded):
        await waiting
    admission.release(inside)

    assert sample(metrics, "darkroom_render_refusals_total", reason="full") == 2
    assert sample(metrics, "darkroom_render_refusals_total", reason="late") == 1
    assert sample(metrics, "darkroom_render_wait_seconds_count", priority="background") == 1
    assert sample(metrics, "darkroom_render_wait_seconds_count", priority="live") == 0


async def test_who_is_on_the_way_counts_as_waiting() -> None:
    async with callers(slots=1, max_waiting=2) as those:
        with ExitStack() as coming:
            for _ in range(3):  # one for the slot, two who will wait
                coming.enter_context(those.admission.reserve_place(LIVE))
            with pytest.raises(Overloaded), those.admission.reserve_place(LIVE):
                pass
            with those.admission.reserve_place(BACKGROUND):
                pass
        for name in "abc":
            await those.arrive(name)
        with pytest.raises(Overloaded), those.admission.reserve_place(LIVE):
            pass
        await those.leave("a")
        with those.admission.reserve_place(LIVE):
            pass

        assert those.entered == ["a", "b"]


async def test_who_is_on_the_way_is_in_the_seconds_that_others_are_told() -> None:
    async with callers(slots=1, max_waiting=40) as those:
        those.admission._mean_seconds = 2.0
        with ExitStack() as coming:
            for _ in range(41):
                coming.enter_context(those.admission.reserve_place(LIVE))
            with pytest.raises(Overloaded) as refused, those.admission.reserve_place(LIVE):
                pass

        assert refused.value.retry_after == 82
