"""Admission: which request gets a render worker next, and which are refused."""

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
BUDGET = 100  # bytes; most requests reserve one


class Callers:
    """Tasks that are admitted, record it, and hold their ticket until `leave`."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.entered: list[str] = []
        self._exits: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, name: str, priority: Priority = LIVE, *, memory: int = 1) -> None:
        self._exits[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, priority, memory))
        await settle()

    async def leave(self, name: str) -> None:
        self._exits[name].set()
        await settle()

    async def _stay(self, name: str, priority: Priority, memory: int) -> None:
        ticket = await self.admission.admit(priority, memory)
        try:
            self.entered.append(name)
            await self._exits[name].wait()
        finally:
            self.admission.release(ticket)


async def settle() -> None:
    """Lets every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def open_callers(
    *, slots: int = 1, budget: int = BUDGET, max_waiting: int = 10, max_wait: float = FOREVER
) -> AsyncIterator[Callers]:
    callers = Callers(Admission(slots, budget, max_waiting=max_waiting, max_wait=max_wait, metrics=Metrics()))
    try:
        yield callers
    finally:
        for task in callers.tasks.values():
            task.cancel()
        await asyncio.gather(*callers.tasks.values(), return_exceptions=True)


async def test_admission_admits_as_many_as_there_are_slots() -> None:
    async with open_callers(slots=2) as callers:
        for name in "abc":
            await callers.arrive(name)

        assert callers.entered == ["a", "b"]
        assert callers.admission.waiting == 1


async def test_release_admits_the_next_in_order_of_arrival() -> None:
    async with open_callers() as callers:
        for name in "abc":
            await callers.arrive(name)

        await callers.leave("a")
        assert callers.entered == ["a", "b"]
        await callers.leave("b")
        assert callers.entered == ["a", "b", "c"]
        assert callers.admission.waiting == 0


async def test_live_request_is_admitted_before_an_earlier_background_request() -> None:
    async with open_callers() as callers:
        await callers.arrive("a")
        await callers.arrive("background", BACKGROUND)
        await callers.arrive("live")

        await callers.leave("a")
        assert callers.entered == ["a", "live"]
        await callers.leave("live")
        assert callers.entered == ["a", "live", "background"]


async def test_background_request_uses_a_free_slot() -> None:
    async with open_callers(slots=2) as callers:
        await callers.arrive("live")
        await callers.arrive("background", BACKGROUND)

        assert callers.entered == ["live", "background"]


@pytest.mark.promise("C11")
async def test_full_queue_raises_overloaded_with_retry_after() -> None:
    async with open_callers(max_waiting=2) as callers:
        for name in "abc":
            await callers.arrive(name)

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert callers.entered == ["a"]
        assert callers.admission.waiting == 2


async def test_queue_of_no_places_still_admits_to_a_free_slot() -> None:
    async with open_callers(max_waiting=0) as callers:
        await callers.arrive("a")
        assert callers.entered == ["a"]

        with pytest.raises(Overloaded):
            await callers.admission.admit(LIVE, 1)

        await callers.leave("a")
        await callers.arrive("b")
        assert callers.entered == ["a", "b"]


async def test_background_requests_wait_without_limit_of_number_or_time() -> None:
    async with open_callers(max_waiting=1, max_wait=0.01) as callers:
        await callers.arrive("a")
        for name in ("b", "c", "d"):
            await callers.arrive(name, BACKGROUND)
        await asyncio.sleep(0.05)

        assert callers.admission.waiting == 3
        await callers.leave("a")
        assert callers.entered == ["a", "b"]


async def test_background_requests_take_no_place_in_the_live_queue() -> None:
    async with open_callers(max_waiting=1) as callers:
        await callers.arrive("a")
        await callers.arrive("b", BACKGROUND)
        await callers.arrive("c", BACKGROUND)
        await callers.arrive("live")

        await callers.leave("a")
        assert callers.entered == ["a", "live"]


async def test_wait_past_the_limit_raises_overloaded_with_retry_after() -> None:
    async with open_callers(max_wait=0.01) as callers:
        await callers.arrive("a")

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert callers.admission.waiting == 0
        await callers.leave("a")
        await callers.arrive("b")
        assert callers.entered == ["a", "b"]


async def test_retry_after_grows_with_the_queue() -> None:
    async with open_callers(max_waiting=40) as callers:
        for number in range(41):
            await callers.arrive(str(number))

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

    assert raised.value.retry_after == 9  # 41 before the next, at the initial guess of 0.2 seconds each


@pytest.mark.parametrize("priority", Priority)
async def test_cancelled_wait_frees_its_place_in_the_queue(priority: Priority) -> None:
    async with open_callers(max_waiting=1) as callers:
        await callers.arrive("a")
        await callers.arrive("b", priority)

        callers.tasks["b"].cancel()
        await settle()

        assert callers.admission.waiting == 0
        await callers.arrive("c")
        await callers.leave("a")
        assert callers.entered == ["a", "c"]


@pytest.mark.parametrize("priority", Priority)
async def test_slot_granted_to_a_cancelled_request_is_not_lost(priority: Priority) -> None:
    async with open_callers() as callers:
        await callers.arrive("a")
        await callers.arrive("b", priority)

        callers._exits["a"].set()
        await asyncio.sleep(0)  # "a" releases its slot to "b", which has not run yet
        callers.tasks["b"].cancel()
        await settle()

        assert callers.tasks["b"].cancelled()
        await callers.arrive("c")
        assert callers.entered == ["a", "c"]


async def test_slot_granted_to_a_cancelled_request_goes_to_the_next() -> None:
    async with open_callers() as callers:
        for name in "abc":
            await callers.arrive(name)

        callers._exits["a"].set()
        await asyncio.sleep(0)
        callers.tasks["b"].cancel()
        await settle()

        assert callers.entered == ["a", "c"]


async def test_request_cancelled_before_the_grant_is_skipped() -> None:
    async with open_callers() as callers:
        for name in "abc":
            await callers.arrive(name)

        callers._exits["a"].set()
        callers.tasks["b"].cancel()  # when "a" releases its slot, "b" is cancelled but still in the queue
        await settle()

        assert callers.tasks["a"].done()
        assert callers.entered == ["a", "c"]


async def test_many_admissions_and_cancellations_leak_no_slot() -> None:
    async with open_callers(slots=3, max_waiting=100) as callers:
        for number in range(60):
            await callers.arrive(str(number), LIVE if number % 3 else BACKGROUND)
        for number in range(60):
            if number % 4 == 0:
                callers.tasks[str(number)].cancel()
            await callers.leave(str(number))
        await asyncio.gather(*callers.tasks.values(), return_exceptions=True)

        assert callers.admission.waiting == 0
        assert callers.admission.reserved_bytes == 0
        for name in "abcd":
            await callers.arrive(name)
        assert callers.entered[-3:] == ["a", "b", "c"]


# Memory


async def test_request_without_memory_waits_though_a_slot_is_free() -> None:
    async with open_callers(slots=3) as callers:
        await callers.arrive("a", memory=60)
        await callers.arrive("b", memory=41)
        assert callers.entered == ["a"]
        assert callers.admission.reserved_bytes == 60

        await callers.leave("a")
        assert callers.entered == ["a", "b"]
        assert callers.admission.reserved_bytes == 41


async def test_reserved_bytes_never_exceed_the_budget() -> None:
    random = Random(7)
    async with open_callers(slots=4, max_waiting=1000) as callers:
        for number in range(300):
            await callers.arrive(str(number), LIVE if number % 3 else BACKGROUND, memory=random.randint(1, BUDGET))
            if number % 5 == 0:
                callers.tasks[str(random.randint(0, number))].cancel()
            if number % 2:
                await callers.leave(str(random.randint(0, number)))
            assert callers.admission.reserved_bytes <= BUDGET
        for number in range(300):
            await callers.leave(str(number))
        await asyncio.gather(*callers.tasks.values(), return_exceptions=True)

        assert (callers.admission.waiting, callers.admission.reserved_bytes) == (0, 0)


async def test_smaller_request_overtakes_one_that_waits_for_memory() -> None:
    async with open_callers(slots=3) as callers:
        await callers.arrive("a", memory=60)
        await callers.arrive("heavy", memory=100)
        await callers.arrive("light", memory=40)
        await callers.arrive("light too", memory=1)

        assert callers.entered == ["a", "light"]


async def test_request_overtaken_max_passes_times_is_admitted_next() -> None:
    async with open_callers(slots=2, max_waiting=100) as callers:
        await callers.arrive("a", memory=10)
        await callers.arrive("heavy", memory=95)
        lights = [f"light {number}" for number in range(MAX_PASSES + 2)]
        for light in lights:
            await callers.arrive(light, memory=10)
            await callers.leave(light)
        assert callers.entered == ["a", *lights[:MAX_PASSES]]

        await callers.leave("a")
        assert callers.entered[-1] == "heavy"
        await callers.leave("heavy")
        assert callers.entered[-2:] == lights[MAX_PASSES:]


async def test_waiting_heavy_requests_do_not_delay_a_light_one() -> None:
    async with open_callers(slots=2) as callers:
        await callers.arrive("a", memory=100)
        await callers.arrive("heavy", memory=100)
        await callers.arrive("light", memory=1)
        await callers.arrive("heavy too", memory=100)

        await callers.leave("a")
        await callers.leave("heavy")
        assert callers.entered == ["a", "heavy", "light"]


async def test_live_request_precedes_an_overtaken_background_request() -> None:
    async with open_callers(slots=2, max_waiting=100) as callers:
        await callers.arrive("a", memory=10)
        await callers.arrive("heavy", BACKGROUND, memory=95)
        for number in range(MAX_PASSES):
            await callers.arrive(str(number), BACKGROUND, memory=10)
            await callers.leave(str(number))

        await callers.arrive("background", BACKGROUND)
        await callers.arrive("live")

        assert callers.entered[-1] == "live"


async def test_background_requests_overtake_a_live_one_at_most_max_passes_times() -> None:
    async with open_callers(slots=2, max_waiting=100) as callers:
        await callers.arrive("a", memory=10)
        await callers.arrive("heavy", memory=95)
        for number in range(MAX_PASSES + 1):
            await callers.arrive(str(number), BACKGROUND, memory=10)
            await callers.leave(str(number))

        assert len(callers.entered) == 1 + MAX_PASSES


@pytest.mark.parametrize("priority", Priority)
async def test_cancelled_wait_for_memory_admits_those_behind_it(priority: Priority) -> None:
    async with open_callers(slots=2, max_waiting=100) as callers:
        await callers.arrive("a", memory=10)
        await callers.arrive("heavy", priority, memory=95)
        for number in range(MAX_PASSES + 1):
            await callers.arrive(str(number), BACKGROUND, memory=10)
            await callers.leave(str(number))
        last = str(MAX_PASSES)
        assert last not in callers.entered

        callers.tasks["heavy"].cancel()
        await settle()

        assert callers.entered[-1] == last


async def test_memory_granted_to_a_cancelled_request_goes_to_the_next() -> None:
    async with open_callers(slots=2) as callers:
        await callers.arrive("a", memory=100)
        await callers.arrive("b", memory=70)
        await callers.arrive("c", memory=90)

        callers._exits["a"].set()
        await asyncio.sleep(0)
        callers.tasks["b"].cancel()
        await settle()

        assert callers.entered == ["a", "c"]
        assert callers.admission.reserved_bytes == 90


async def test_wait_for_memory_past_the_limit_raises_overloaded() -> None:
    async with open_callers(slots=9, max_wait=0.01) as callers:
        await callers.arrive("a", memory=100)
        with pytest.raises(Overloaded):
            await callers.admission.admit(LIVE, 1)

        await callers.leave("a")
        await callers.arrive("b", memory=100)
        assert callers.entered == ["a", "b"]


async def test_retry_after_considers_which_requests_fit_together() -> None:
    async with open_callers(slots=4, max_waiting=8) as callers:
        for name in "abcdefghi":
            await callers.arrive(name, memory=60)

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 60)

    assert raised.value.retry_after == 2  # nine before it, one at a time despite the slots, at 0.2 seconds each


async def test_retry_after_considers_how_long_admitted_requests_have_run() -> None:
    async with open_callers(max_waiting=2) as callers:
        for name in "abc":
            await callers.arrive(name)
        next(iter(callers.admission._admitted)).admitted_at -= 4

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

    assert raised.value.retry_after == 13  # three before it, at four seconds and a little each


async def test_waits_and_refusals_are_counted() -> None:
    metrics = Metrics()
    admission = Admission(1, BUDGET, max_waiting=1, max_wait=0.01, metrics=metrics)
    admitted = await admission.admit(BACKGROUND, 1)
    waiting = asyncio.create_task(admission.admit(LIVE, 1))
    await settle()
    for _ in range(2):
        with pytest.raises(Overloaded):
            await admission.admit(LIVE, 1)
    with pytest.raises(Overloaded):
        await waiting
    admission.release(admitted)

    assert sample(metrics, "darkroom_render_refusals_total", reason="full") == 2
    assert sample(metrics, "darkroom_render_refusals_total", reason="late") == 1
    assert sample(metrics, "darkroom_render_wait_seconds_count", priority="background") == 1
    assert sample(metrics, "darkroom_render_wait_seconds_count", priority="live") == 0


async def test_reserved_place_counts_as_waiting() -> None:
    async with open_callers(slots=1, max_waiting=2) as callers:
        with ExitStack() as places:
            for _ in range(3):  # one for the slot, two for the queue
                places.enter_context(callers.admission.reserve_place(LIVE))
            with pytest.raises(Overloaded), callers.admission.reserve_place(LIVE):
                pass
            with callers.admission.reserve_place(BACKGROUND):
                pass
        for name in "abc":
            await callers.arrive(name)
        with pytest.raises(Overloaded), callers.admission.reserve_place(LIVE):
            pass
        await callers.leave("a")
        with callers.admission.reserve_place(LIVE):
            pass

        assert callers.entered == ["a", "b"]


async def test_reserved_places_increase_retry_after() -> None:
    async with open_callers(slots=1, max_waiting=40) as callers:
        callers.admission._mean_seconds = 2.0
        with ExitStack() as places:
            for _ in range(41):
                places.enter_context(callers.admission.reserve_place(LIVE))
            with pytest.raises(Overloaded) as refused, callers.admission.reserve_place(LIVE):
                pass

        assert refused.value.retry_after == 82
