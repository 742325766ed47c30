"""Admission by memory: which requests wait, and which overtake."""

import asyncio
from random import Random

import pytest

from proxy.errors import Overloaded
from proxy.rendering.admission import MAX_PASSES, Priority
from tests.unit.proxy.rendering.callers import BACKGROUND, BUDGET, LIVE, open_callers, settle


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
async def test_cancelled_wait_for_memory_admits_later_requests(priority: Priority) -> None:
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
