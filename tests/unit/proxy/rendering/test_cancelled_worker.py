"""No process is left behind when the start or stop of a render worker is cancelled, fails or takes too long."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.errors import DerivationTimeout, RenderFailed
from proxy.rendering import render_worker
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from tests.unit.proxy.imaging.reference import LIMITS
from tests.unit.proxy.rendering.pools import PLENTY
from tests.waiting import GUARD

# Both do not notice that their sockets are closed.
NEVER_READY = "import time; time.sleep(600)"
READY = r"""import os; os.write(0, b'{"ready": true, "locks": []}\n');""" + NEVER_READY


async def start_worker(code: str = READY) -> RenderWorker:
    return await RenderWorker.start(LIMITS, PLENTY, GUARD, program=("-c", code))


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
    starting = asyncio.create_task(start_worker(NEVER_READY))
    for _ in range(steps):
        await asyncio.sleep(0)

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == before


async def test_cancelled_stop_leaves_no_process() -> None:
    before = children()
    worker = await start_worker()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)

    for _ in range(3):
        stopping.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert children() == before


async def test_process_that_is_never_ready_is_a_timeout_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_worker, "_START_TIMEOUT", 0.01)
    before = children()

    with pytest.raises(DerivationTimeout, match="No render process was ready within"):
        await start_worker(NEVER_READY)
    assert children() == before


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """Every process that the test starts."""
    started = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return started


async def start() -> Coroutine[Any, Any, object]:
    return start_worker(NEVER_READY)


async def stop() -> Coroutine[Any, Any, object]:
    return (await start_worker()).stop()


async def close() -> Coroutine[Any, Any, object]:
    render_pool = RenderPool(LIMITS, processes=1, memory_mb=PLENTY, process_mb=PLENTY, timeout=GUARD, max_waiting=1)
    await render_pool.start()
    return render_pool.close()


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("prepare", [start, stop, close])
def test_event_loop_that_ends_leaves_no_process(
    started: list["subprocess.Popen[bytes]"],
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[], Awaitable[Coroutine[Any, Any, object]]],
    steps: int,
) -> None:
    """`asyncio.run` cancels all tasks at once, also those that clean up, and those that have not begun."""
    monkeypatch.setattr(RenderPool, "_start_worker", lambda _: start_worker())

    async def begin() -> asyncio.Task[object]:
        task = asyncio.create_task(await prepare())
        for _ in range(steps):
            await asyncio.sleep(0)
        return task

    asyncio.run(begin())

    assert len(started) == 1 or (prepare is start and steps < 8)
    assert [process.wait(GUARD) for process in started] == [-signal.SIGKILL] * len(started)


async def test_process_that_does_not_end_is_logged_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_worker, "_KILL_TIMEOUT", 0)
    monkeypatch.setattr(render_worker, "_EXIT_TIMEOUT", 0)
    worker = await start_worker()
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(worker._process, "poll", lambda: None)  # it hangs in the kernel, as in a read from a disk
        await worker.stop()

    assert logs == [{"event": "render process did not end", "log_level": "error", "process": worker.pid}]
    assert worker._process.wait(GUARD) == -signal.SIGKILL


@pytest.mark.parametrize("call", [1, 2, 3])
async def test_start_without_free_descriptors_is_render_failed_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """`call`: of the two that open sockets and the one that starts the process, the one that fails."""
    before = children(), descriptors()
    calls = count(1)

    def limited(real: Callable[..., Any]) -> Callable[..., Any]:
        def open_or_fail(*arguments: Any, **options: Any) -> Any:
            if next(calls) == call:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(*arguments, **options)

        return open_or_fail

    monkeypatch.setattr(socket, "socketpair", limited(socket.socketpair))
    monkeypatch.setattr(subprocess, "Popen", limited(subprocess.Popen))

    with pytest.raises(RenderFailed, match=r"^No render worker could be started\. Try again\.$"):
        await start_worker()

    await asyncio.sleep(0)  # transports close their sockets
    assert (children(), descriptors()) == before


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())
