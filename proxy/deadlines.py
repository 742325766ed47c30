"""A deadline for answers of other services, which tolerates a late event loop of this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def answer_within(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError if the block takes longer than `seconds`; twice that if this process was late itself.

    A busy event loop notices the deadline before it has read an answer that came in time. So a deadline that fires late
    by half of its time is extended once.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    async with asyncio.timeout(None) as deadline:

        def on_deadline() -> None:
            now = loop.time()
            deadline.reschedule(now + seconds if now > due + seconds / 2 else now)

        timer = loop.call_at(due, on_deadline)
        try:
            yield
        finally:
            timer.cancel()
