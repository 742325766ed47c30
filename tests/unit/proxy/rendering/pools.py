"""A render pool with real workers, and helpers for its tests."""

import asyncio
import os
import signal
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from proxy.imaging.inspect import Inspection
from proxy.imaging.target import Target
from proxy.model import Format
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderedFile, RenderWorker, Sandbox
from proxy.settings import WatermarkFile
from proxy.telemetry import Metrics
from tests.photographs import photograph_path
from tests.pictures import chunk, png_header
from tests.unit.proxy.imaging.reference import LIMITS, SIDES, target
from tests.waiting import GUARD

ROCKET = photograph_path("rocket.jpg")
SMALL = [target(150, 150)]
STANDARD = [target(side, side, format) for side in SIDES.values() for format in Format]
LIVE = Priority.LIVE
PLENTY = 4096  # MiB
ROOM = 200 << 20  # bytes: enough for the small pictures that most tests use


@asynccontextmanager
async def pool(
    *,
    processes: int = 1,
    memory_mb: int = PLENTY,
    process_mb: int = PLENTY,
    timeout: float = GUARD,
    recycle: int = 500,
    max_waiting: int = 10,
    sandbox: Sandbox = "auto",
    searches: bool = False,
    watermarks: Sequence[WatermarkFile] = (),
    metrics: Metrics | None = None,
) -> AsyncIterator[RenderPool]:
    render_pool = RenderPool(
        LIMITS,
        processes=processes,
        memory_mb=memory_mb,
        process_mb=process_mb,
        timeout=timeout,
        max_waiting=max_waiting,
        recycle=recycle,
        sandbox=sandbox,
        searches=searches,
        watermarks=watermarks,
        metrics=metrics,
    )
    await render_pool.start()
    try:
        yield render_pool
    finally:
        await render_pool.close()


async def render(render_pool: RenderPool, path: Path, targets: Sequence[Target] = SMALL) -> list[bytes]:
    async with render_pool.acquire(LIVE, await render_pool.estimate_memory(path, targets)) as process:
        files = sorted([file async for file in process.render(path, targets)], key=lambda file: file.index)
    return [file.body for file in files]


async def inspect_with(render_pool: RenderPool, path: Path) -> Inspection:
    async with render_pool.acquire(LIVE, await render_pool.estimate_memory(path)) as process:
        return await process.inspect(path)


async def pid(render_pool: RenderPool) -> int:
    async with render_pool.acquire(LIVE, ROOM) as process:
        return process.pid


def written(directory: Path, original: bytes) -> Path:
    path = directory / "original"
    path.write_bytes(original)
    return path


async def gone(process_id: int) -> bool:
    """Whether the process ends, and is not left behind as a zombie, within half a minute."""
    for _ in range(3000):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.01)
    return False


async def kill_after_the_first(
    render_pool: RenderPool, path: Path, targets: Sequence[Target], number: int = signal.SIGKILL
) -> None:
    async with render_pool.acquire(LIVE, ROOM) as process:
        async for _ in process.render(path, targets):
            os.kill(process.pid, number)


async def rendered_by(process: RenderWorker, path: Path) -> list[RenderedFile]:
    return [file async for file in process.render(path, SMALL)]


@cache
def deep(side: int) -> bytes:
    """Returns a black 16-bit PNG with a transparent grey: few bytes, but seconds to decode with either library."""
    pixels = zlib.compress(bytes(side * (1 + 2 * side)), 1)
    return png_header(side, side, 16, 0) + chunk(b"tRNS", b"\0\1") + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
