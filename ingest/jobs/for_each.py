"""Concurrent work over an async iterator, in bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import TypeVar

T = TypeVar("T")


async def for_each(
    items: AsyncIterator[T],
    work: Callable[[T], Awaitable[None]],
    concurrency: int,
    *,
    on_stop: Callable[[T], None] = lambda _: None,
) -> None:
    """Runs `work` for each item, `concurrency` at a time. Takes an item only when its work can begin.

    The first exception cancels the rest and is raised in an exception group. After an exception or a cancellation,
    `on_stop` gets the item at which a later run should begin: the first whose work did not end, or the last that was
    taken.
    """
    lock = asyncio.Lock()  # an async generator serves one caller at a time
    numbers = count()
    unfinished: dict[int, T] = {}  # in the order in which they were taken
    last: list[T] = []

    async def run() -> None:
        while True:
            async with lock:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                number = next(numbers)
                unfinished[number] = item
                last[:] = [item]
            await work(item)
            del unfinished[number]

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(run())
    except BaseException:
        for item in [*unfinished.values(), *last][:1]:
            on_stop(item)
        raise
