"""Callers that ask for admission, and hold it until they are told to leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.rendering.admission import Admission, Priority
from proxy.telemetry import Metrics

LIVE, BACKGROUND = Priority.LIVE, Priority.BACKGROUND
FOREVER = 60  # seconds: more than any test takes
BUDGET = 100  # bytes; most requests reserve one


class Callers:
    """Tasks that are admitted, record it, and hold their admission until `leave`."""

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
        request = await self.admission.admit(priority, memory)
        try:
            self.entered.append(name)
            await self._exits[name].wait()
        finally:
            self.admission.release(request)


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
