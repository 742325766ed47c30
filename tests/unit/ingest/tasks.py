"""Runs tasks in virtual time, up to a gate, and to their end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.fakes import Gate
from tests.virtual_time import VirtualTimeLoop

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in virtual time: waits take no real time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


async def reached(gate: Gate, work: asyncio.Task[Any]) -> None:
    """Waits until a task reaches the gate. Fails if `work` ends before."""
    waiting = asyncio.create_task(gate.reached.wait())
    await asyncio.wait([waiting, work], return_when=asyncio.FIRST_COMPLETED)
    if not gate.reached.is_set():
        await cancel_and_wait(waiting)
        raise AssertionError(f"it ended before it came to the gate: {work.result()}")


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancels a task and waits for its end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
