"""A caller that is cancelled while a render worker starts or stops leaves no process behind."""

import asyncio
import os
from pathlib import Path

import pytest

from proxy.rendering.render_worker import RenderWorker
from tests.unit.proxy.imaging.reference import LIMITS
from tests.unit.proxy.rendering.pools import PATIENT, PLENTY


def children() -> set[str]:
    """The ids of this process's children, ended ones that nobody waited for included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has ended
            continue
        if parent == str(os.getpid()):
            found.add(stat.parent.name)
    return found


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13])
async def test_cancelled_start_leaves_no_process(steps: int) -> None:
    before = children()
    starting = asyncio.create_task(RenderWorker.start(LIMITS, PLENTY, PATIENT))
    for _ in range(steps):
        await asyncio.sleep(0)

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == before


async def test_cancelled_stop_leaves_no_process() -> None:
    before = children()
    worker = await RenderWorker.start(LIMITS, PLENTY, PATIENT)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)

    for _ in range(3):
        stopping.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert children() == before
