"""Work over an async iterator, several items at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingest.jobs.for_each import for_each


async def numbers(count: int) -> AsyncIterator[int | None]:
    for number in range(count):
        yield number or None  # None is an item like any other


async def test_every_item_is_worked_on_once_within_concurrency() -> None:
    done: list[int | None] = []
    running = most = 0

    async def work(number: int | None) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await for_each(numbers(10), work, 3)

    assert sorted(number or 0 for number in done) == list(range(10))
    assert most == 3


async def test_exception_of_one_item_cancels_the_others() -> None:
    cancelled: list[int | None] = []

    async def work(number: int | None) -> None:
        if number == 2:
            raise ValueError("odd")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ExceptionGroup) as raised:
        await for_each(numbers(10), work, 3)

    assert [str(error) for error in raised.value.exceptions] == ["odd"]
    assert set(cancelled) == {None, 1}
