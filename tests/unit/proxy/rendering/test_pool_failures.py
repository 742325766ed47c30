"""Render workers that die, hang, need too much memory or are abandoned."""

import asyncio
import os
import signal
import zlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from proxy.errors import (
    DerivationTimeout,
    Overloaded,
    RenderFailed,
    TooHeavy,
)
from proxy.imaging.target import Target
from proxy.model import Format
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderedFile, RenderWorker
from proxy.settings import RENDER_IDLE_MB
from proxy.telemetry import Metrics
from tests.camera import camera_jpeg
from tests.conftest import reads
from tests.fakes import eventually, sample
from tests.photographs import photograph, photograph_bytes
from tests.pictures import chunk, flat_webp, jpeg, png_header
from tests.unit.proxy.imaging.reference import SCALED, rendered, target
from tests.unit.proxy.rendering.pools import (
    LIVE,
    ROCKET,
    ROOM,
    SMALL,
    STANDARD,
    gone,
    inspect_with,
    pid,
    pool,
    render,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def kill_after_the_first(
    render_pool: RenderPool, path: Path, targets: Sequence[Target], number: int = signal.SIGKILL
) -> None:
    async with render_pool.acquire(LIVE, ROOM) as process:
        async for _ in process.render(path, targets):
            os.kill(process.pid, number)


@pytest.mark.promise("A14")
@pytest.mark.heavy
async def test_worker_death_fails_only_its_own_request(render_pool: RenderPool, tmp_path: Path) -> None:
    large = written(tmp_path, camera_jpeg(size=SCALED))
    killed = await pid(render_pool)
    with pytest.raises(RenderFailed):
        await kill_after_the_first(render_pool, large, [*SMALL, target(2400, 2400, Format.AVIF)])

    assert await gone(killed)
    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)
    assert await pid(render_pool) != killed


@pytest.mark.heavy
async def test_death_of_an_idle_worker_fails_no_request(render_pool: RenderPool) -> None:
    killed = await pid(render_pool)
    os.kill(killed, signal.SIGKILL)
    assert await gone(killed)

    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


async def rendered_by(process: RenderWorker, path: Path) -> list[RenderedFile]:
    return [file async for file in process.render(path, SMALL)]


@pytest.mark.promise("A14")
@pytest.mark.heavy
@pytest.mark.parametrize("ask", [rendered_by, RenderWorker.inspect])
async def test_deadline_kills_the_worker(
    render_pool: RenderPool, tmp_path: Path, ask: Callable[[RenderWorker, Path], Awaitable[object]]
) -> None:
    long = written(tmp_path, deep(4000))
    async with render_pool.acquire(LIVE, 1 << 30) as process:
        process._timeout = 0.05
        with pytest.raises(DerivationTimeout, match=r"^The picture was not ready within 0\.05 seconds\.$"):
            await ask(process, long)

    assert await gone(process.pid)
    assert await pid(render_pool) != process.pid
    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.heavy
async def test_estimate_above_the_budget_raises_too_heavy_with_both_figures(tmp_path: Path) -> None:
    heavy = written(tmp_path, flat_webp(10_000, 10_000))
    async with pool(processes=2, memory_mb=500) as render_pool, render_pool.acquire(LIVE, ROOM):
        for ask in (render, inspect_with):
            with pytest.raises(
                TooHeavy, match=r"needs about \d{3,4} MB of memory, and RENDER_MEMORY_MB=500 leaves 372"
            ):
                await ask(render_pool, heavy)

        assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.heavy
async def test_estimate_above_the_process_limit_names_that_setting(tmp_path: Path) -> None:
    heavy = written(tmp_path, flat_webp(10_000, 10_000))
    async with pool(memory_mb=3000, process_mb=400) as render_pool:
        with pytest.raises(TooHeavy, match="RENDER_PROCESS_MB=400 leaves 336 MB"):
            await render(render_pool, heavy)


@pytest.mark.heavy
@reads("/proc/self/statm")
async def test_use_above_the_reserve_fails_only_its_own_request(render_pool: RenderPool, tmp_path: Path) -> None:
    heavy = written(tmp_path, deep(6500))
    for ask in (RenderWorker.inspect, rendered_by):
        async with render_pool.acquire(LIVE, 1 << 20) as process:
            with pytest.raises(TooHeavy):
                await ask(process, heavy)
            assert process.is_idle

    async with render_pool.acquire(LIVE, 1 << 30) as process:
        assert (await process.inspect(heavy)).width == 6500  # the file is sound
    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@cache
def deep(side: int) -> bytes:
    """Returns a black 16-bit PNG with a transparent grey: few bytes, but seconds to decode with either library."""
    pixels = zlib.compress(bytes(side * (1 + 2 * side)), 1)
    return png_header(side, side, 16, 0) + chunk(b"tRNS", b"\0\1") + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.heavy
async def test_unreadable_header_is_estimated_at_the_maximum(tmp_path: Path) -> None:
    async with pool(memory_mb=1000, process_mb=500) as render_pool:
        for odd in (b"", b"GIF89a", jpeg(photograph("coffee.png"))[:100], png_header(10_001, 100)):
            assert await render_pool.estimate_memory(written(tmp_path, odd)) == (500 - RENDER_IDLE_MB) << 20


@pytest.mark.heavy
async def test_abandoned_rendering_ends_its_worker(render_pool: RenderPool) -> None:
    async with render_pool.acquire(LIVE, ROOM) as process:
        async for _ in process.render(ROCKET, STANDARD):
            break

    assert await gone(process.pid)
    assert await pid(render_pool) != process.pid
    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.heavy
async def test_cancelled_request_ends_its_worker_and_releases_its_slot(tmp_path: Path) -> None:
    long = written(tmp_path, flat_webp(8_000, 8_000))
    async with pool(max_waiting=0) as render_pool:
        busy = await pid(render_pool)
        task = asyncio.create_task(render(render_pool, long))
        await eventually(lambda: render_pool.admission.reserved_bytes > 0)
        with pytest.raises(Overloaded):
            await render(render_pool, ROCKET)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await gone(busy)
        await asyncio.gather(*render_pool._background)  # they release the slot
        assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.heavy
@pytest.mark.parametrize("failing", [asyncio.CancelledError, RenderFailed])
async def test_reserve_is_released_only_after_the_killed_worker_has_ended(
    render_pool: RenderPool, failing: type[BaseException]
) -> None:
    async def fail() -> None:
        async with render_pool.acquire(LIVE, ROOM) as process:
            process.is_idle = False  # as after an answer that was not read completely
            raise failing

    killed = await pid(render_pool)
    with pytest.raises(failing):
        await fail()
    assert render_pool.admission.reserved_bytes == ROOM

    await asyncio.gather(*render_pool._background)

    assert render_pool.admission.reserved_bytes == 0
    with pytest.raises(ProcessLookupError):
        os.kill(killed, 0)


@pytest.mark.heavy
async def test_failed_worker_start_releases_the_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: RenderPool) -> RenderWorker:
        raise RenderFailed

    async with pool() as render_pool:
        os.kill(await pid(render_pool), signal.SIGKILL)
        await render_pool._idle[0]._process.wait()
        with monkeypatch.context() as patched:
            patched.setattr(RenderPool, "_start_worker", refuse)
            with pytest.raises(RenderFailed):
                await pid(render_pool)

        assert render_pool.admission.reserved_bytes == 0
        assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.heavy
async def test_failed_pool_start_leaves_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()
    started: list[RenderWorker] = []
    start = RenderPool._start_worker

    async def refuse_the_second(render_pool: RenderPool) -> RenderWorker:
        if next(calls) == 1:
            while len(started) < 2:  # otherwise the group cancels their start
                await asyncio.sleep(0.01)
            raise RenderFailed
        started.append(await start(render_pool))
        return started[-1]

    monkeypatch.setattr(RenderPool, "_start_worker", refuse_the_second)
    with pytest.raises(RenderFailed):
        async with pool(processes=3):
            pass

    assert [await gone(process.pid) for process in started] == [True, True]


@pytest.mark.heavy
async def test_repeated_failures_never_leave_extra_idle_workers() -> None:
    async with pool(processes=2) as render_pool:
        for number in range(6):
            async with render_pool.acquire(LIVE, ROOM) as process:
                if number % 2:
                    process.is_idle = False  # as after an answer that was not read completely
        await asyncio.gather(*render_pool._background)

        assert len(render_pool._idle) == 2


def ended(metrics: Metrics) -> dict[str, float]:
    """Counts ended render workers by reason."""
    reasons = ("deadline", "killed", "died", "abandoned", "recycled")
    counts = {reason: sample(metrics, "darkroom_render_ended_total", reason=reason) for reason in reasons}
    return {reason: count for reason, count in counts.items() if count}


@pytest.mark.heavy
@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "died")])
async def test_dead_workers_are_counted_by_reason(tmp_path: Path, number: int, reason: str) -> None:
    large = written(tmp_path, camera_jpeg(size=SCALED))
    metrics = Metrics()
    async with pool(metrics=metrics) as render_pool:
        with pytest.raises(RenderFailed):
            await kill_after_the_first(render_pool, large, [*SMALL, target(2400, 2400, Format.AVIF)], number)
        await pid(render_pool)  # returns after the replacement
        assert ended(metrics) == {reason: 1}

        [idle] = render_pool._idle
        os.kill(idle.pid, number)
        await eventually(lambda: not idle.is_alive)
        await pid(render_pool)
        await eventually(lambda: ended(metrics) == {reason: 2})


@pytest.mark.heavy
async def test_killed_and_recycled_workers_are_counted_by_reason(tmp_path: Path) -> None:
    large = written(tmp_path, camera_jpeg(size=SCALED))
    metrics = Metrics()
    async with pool(metrics=metrics, recycle=1) as render_pool:
        await render(render_pool, ROCKET)
        await pid(render_pool)
        assert ended(metrics) == {"recycled": 1}

        async with render_pool.acquire(LIVE, ROOM) as process:
            async for _ in process.render(large, STANDARD):
                break
        await pid(render_pool)
        assert ended(metrics) == {"recycled": 1, "abandoned": 1}
    assert ended(metrics) == {"recycled": 1, "abandoned": 1}  # workers that end because the pool closes are not counted

    late = Metrics()
    async with pool(metrics=late, timeout=0.05) as render_pool:
        with pytest.raises(DerivationTimeout):
            await render(render_pool, large, [target(2400, 2400, Format.AVIF)])
        await eventually(lambda: ended(late) == {"deadline": 1})


@pytest.mark.heavy
async def test_gauges_report_busy_and_idle_workers_and_reserved_bytes() -> None:
    metrics = Metrics()
    async with pool(metrics=metrics, processes=2) as render_pool:
        async with render_pool.acquire(LIVE, ROOM):
            metrics.sample()
            assert sample(metrics, "darkroom_render_processes", state="busy") == 1
            assert sample(metrics, "darkroom_render_processes", state="idle") == 1
            assert sample(metrics, "darkroom_render_charged_bytes") == ROOM
        metrics.sample()
        assert sample(metrics, "darkroom_render_processes", state="busy") == 0
        assert sample(metrics, "darkroom_render_charged_bytes") == 0
