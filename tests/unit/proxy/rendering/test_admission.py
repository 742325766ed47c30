"""Admission: which request gets a render worker next, and which are refused."""

import asyncio
from contextlib import ExitStack

import pytest

from proxy.errors import Overloaded
from proxy.rendering.admission import Priority
from tests.unit.proxy.rendering.callers import BACKGROUND, LIVE, open_callers, settle


async def test_live_requests_that_wait_are_seen() -> None:
    async with open_callers() as callers:
        await callers.arrive("a", BACKGROUND)
        await callers.arrive("b", BACKGROUND)
        assert not callers.admission.has_live_waiting
        await callers.arrive("c", LIVE)
        assert callers.admission.has_live_waiting
        await callers.leave("a")
        assert (callers.entered, callers.admission.has_live_waiting) == (["a", "c"], False)


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
