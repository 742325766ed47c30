"""Waits for a condition, and the deadline of all waits in tests."""

import asyncio
from collections.abc import Awaitable, Callable

GUARD = 60  # seconds until a test gives up waiting, and the deadline where a test is not about it


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(GUARD):
        while not await condition():
            await asyncio.sleep(0.02)
