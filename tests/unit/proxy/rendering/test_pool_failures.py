"""Render workers that die, hang, do not start or are abandoned."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from proxy.errors import (
    DerivationTimeout,
    Overloaded,
    RenderFailed,
)
from proxy.model import Format
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from proxy.settings import SettingsError
from tests.camera import camera_jpeg
from tests.fakes import eventually
from tests.photographs import photograph_bytes
from tests.pictures import flat_webp
from tests.unit.proxy.imaging.reference import SCALED, rendered, target
from tests.unit.proxy.rendering.pools import (
    LIVE,
    ROCKET,
    ROOM,
    SMALL,
    STANDARD,
    deep,
    gone,
    kill_after_the_first,
    pid,
    pool,
    render,
    rendered_by,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


@pytest.mark.promise("A14")
@pytest.mark.heavy
@pytest.mark.parametrize("ask", [rendered_by, RenderWorker.inspect])
async def test_deadline_kills_the_worker(
    render_pool: RenderPool, tmp_path: Path, ask: Callable[[RenderWorker, Path], Awaitable[object]]
) -> None:
    long = written(tmp_path, deep(4000))
    async with render_pool.acquire(LIVE, 1 << 30) as process:
        process._timeout = 0.05
        with pytest.raises(DerivationTimeout, match=r"^The image was not processed within 0\.05 seconds\.$"):
            await ask(process, long)

    assert await gone(process.pid)
    assert await pid(render_pool) != process.pid
    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


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
        await eventually(lambda: any(not worker.is_idle for worker in render_pool._busy))  # it has the request
        with pytest.raises(Overloaded):
            await render(render_pool, ROCKET)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await gone(busy)
        await asyncio.gather(*render_pool._background)  # they release the slot
        assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.slow
async def test_worker_start_without_free_descriptors_fails_only_until_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with pool() as render_pool:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socketpair", refuse)
            async with render_pool.acquire(LIVE, ROOM) as process:
                process.is_idle = False  # as after an answer that was not read completely
            await asyncio.gather(*render_pool._background)  # replacing it fails
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
async def test_settings_that_stop_a_start_are_a_failure_of_the_process_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: RenderPool) -> NoReturn:
        raise SettingsError("The watermark logo.png cannot be decoded.")

    async with pool() as render_pool:
        monkeypatch.setattr(RenderPool, "_start_worker", refuse)
        async with render_pool.acquire(LIVE, ROOM) as process:
            process.is_idle = False  # as after an answer that was not read completely
        await asyncio.gather(*render_pool._background)  # replacing it fails

        with pytest.raises(RenderFailed, match=r"^The watermark logo\.png cannot be decoded\.$"):
            await pid(render_pool)


@pytest.mark.slow
async def test_repeated_failures_never_leave_extra_idle_workers() -> None:
    async with pool(processes=2) as render_pool:
        for number in range(6):
            async with render_pool.acquire(LIVE, ROOM) as process:
                if number % 2:
                    process.is_idle = False  # as after an answer that was not read completely
        await asyncio.gather(*render_pool._background)

        assert len(render_pool._idle) == 2


@pytest.mark.heavy
async def test_stop_of_all_processes_of_a_service_is_left_to_the_server(render_pool: RenderPool) -> None:
    """systemd sends SIGTERM to each."""
    async with render_pool.acquire(LIVE, ROOM) as process:
        os.kill(process.pid, signal.SIGTERM)
        assert await rendered_by(process, ROCKET)

    assert await pid(render_pool) == process.pid


@pytest.mark.heavy
async def test_original_that_cannot_be_opened_is_render_failed_and_keeps_its_worker(
    render_pool: RenderPool, tmp_path: Path
) -> None:
    first = await pid(render_pool)
    for ask in (rendered_by, RenderWorker.inspect):
        async with render_pool.acquire(LIVE, ROOM) as process:
            with pytest.raises(RenderFailed, match=r"could not be opened \(No such file or directory\)"):
                await ask(process, tmp_path / "missing")

    assert await pid(render_pool) == first
