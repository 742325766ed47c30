"""Who may use a render process next: live requests before warm-ups, and only so many waiting."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from time import monotonic

from proxy.errors import Overloaded


class Priority(IntEnum):
    LIVE = 0
    """Somebody is waiting for an answer."""
    BACKGROUND = 1
    """Warm-ups and refreshes: they get what live requests leave."""


class Admission:
    """`slots` at a time; at most `max_waiting` live requests wait, each at most `patience` seconds.

    Background work waits as long as it takes: there is never more of it than there are workers.
    """

    def __init__(self, slots: int, *, max_waiting: int, patience: float) -> None:
        self._free = slots
        self._slots = slots
        self._max_waiting = max_waiting
        self._patience = patience
        self._queues: dict[Priority, deque[asyncio.Future[None]]] = {priority: deque() for priority in Priority}
        self._mean_seconds = 0.2  # of one admission; learnt as they end

    @property
    def waiting(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    @asynccontextmanager
    async def admit(self, priority: Priority) -> AsyncIterator[None]:
        """Raises Overloaded, with the seconds until there should be room."""
        await self._enter(priority)
        start = monotonic()
        try:
            yield
        finally:
            self._mean_seconds += 0.1 * (monotonic() - start - self._mean_seconds)
            self._leave()

    async def _enter(self, priority: Priority) -> None:
        if self._free and not self._queues[Priority.LIVE]:
            self._free -= 1
            return
        queue = self._queues[priority]
        if priority is Priority.LIVE and len(queue) >= self._max_waiting:
            raise self._overloaded()
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._patience if priority is Priority.LIVE else None):
                await turn
        except TimeoutError:
            self._give_up(queue, turn)
            raise self._overloaded() from None
        except asyncio.CancelledError:
            self._give_up(queue, turn)
            raise

    def _give_up(self, queue: deque[asyncio.Future[None]], turn: asyncio.Future[None]) -> None:
        if turn in queue:
            queue.remove(turn)
        elif not turn.cancelled():  # the slot was handed over in the very moment of leaving: hand it on
            self._leave()

    def _leave(self) -> None:
        for queue in self._queues.values():
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1

    def _overloaded(self) -> Overloaded:
        seconds = math.ceil((len(self._queues[Priority.LIVE]) + 1) / self._slots * self._mean_seconds)
        return Overloaded("Too many pictures are being derived. Try again shortly.", retry_after=max(1, seconds))
