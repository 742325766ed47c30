"""Concurrent work over an async iterator, in bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def for_each(items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Runs `work` for each item, `concurrency` at a time. Takes an item only when its work can begin.

    The first exception cancels the rest and is raised in an exception group.
    """
    lock = asyncio.Lock()  # an async generator serves one caller at a time

    async def run() -> None:
        while True:
            async with lock:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(run())
