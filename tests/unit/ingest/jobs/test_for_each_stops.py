"""An interrupted `for_each` names the item at which a later run begins. In virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingest.jobs.for_each import for_each
from tests.unit.ingest.tasks import at_once, cancel_and_wait


async def numbers(last: int, *, fails: bool = False) -> AsyncIterator[int]:
    for number in range(last):
        yield number
    if fails:
        raise OSError


def test_cancelled_run_names_the_first_unfinished_item() -> None:
    """One worker is stuck with item 2, the other goes on to item 8."""
    done: list[int] = []
    places: list[int] = []

    async def work(number: int) -> None:
        if number in (2, 8):
            await asyncio.sleep(3600)
        done.append(number)

    async def story() -> None:
        running = asyncio.create_task(for_each(numbers(20), work, 2, on_stop=places.append))
        await asyncio.sleep(1)
        await cancel_and_wait(running)

    at_once(story())

    assert sorted(done) == [0, 1, 3, 4, 5, 6, 7]
    assert places == [2]


@pytest.mark.parametrize(("failing", "place"), [(0, 0), (5, 5), (None, 8)])
def test_failed_run_names_the_failing_item_or_the_last(failing: int | None, place: int) -> None:
    places: list[int] = []

    async def work(number: int) -> None:
        if number == failing:
            raise OSError

    with pytest.raises(ExceptionGroup):
        at_once(for_each(numbers(9, fails=True), work, 1, on_stop=places.append))

    assert places == [place]


@pytest.mark.parametrize(("count", "fails"), [(9, False), (0, False)])
def test_finished_run_names_nothing(count: int, fails: bool) -> None:
    places: list[int] = []

    async def work(_number: int) -> None:
        pass

    at_once(for_each(numbers(count, fails=fails), work, 3, on_stop=places.append))

    assert places == []
