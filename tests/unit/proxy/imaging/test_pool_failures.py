"""Render processes that die, hang, take too much memory or are left alone with their work."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from proxy.errors import (
    DerivationTimeout,
    Overloaded,
    RenderFailed,
    Undecodable,
)
from proxy.imaging.pool import RenderPool
from proxy.imaging.target import Target
from proxy.model import Format
from tests.pictures import (
    camera_jpeg,
    flat_webp,
    photograph_bytes,
)
from tests.unit.proxy.imaging.pools import (
    LIVE,
    ROCKET,
    SMALL,
    STANDARD,
    gone,
    look,
    pid,
    pid_of,
    pool,
    render,
    written,
)
from tests.unit.proxy.imaging.reference import rendered, target


async def kill_after_the_first(children: RenderPool, path: Path, targets: Sequence[Target]) -> None:
    async with children.process(LIVE) as process:
        async for _ in process.render(path, targets):
            process.kill()


async def test_a_process_that_dies_at_work_fails_its_picture_alone(tmp_path: Path) -> None:
    large = written(tmp_path, camera_jpeg())
    async with pool() as children:
        killed = await pid(children)
        with pytest.raises(RenderFailed):
            await kill_after_the_first(children, large, [*SMALL, target(2400, 2400, Format.AVIF)])

        assert await gone(killed)
        assert await render(children, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)
        assert await pid(children) != killed


async def test_a_process_that_died_while_idle_fails_no_request() -> None:
    async with pool() as children:
        killed = await pid(children)
        os.kill(killed, signal.SIGKILL)
        assert await gone(killed)

        assert await render(children, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


@pytest.mark.parametrize("ask", [render, look])
async def test_a_picture_past_its_deadline_ends_its_process(
    tmp_path: Path, ask: Callable[[RenderPool, Path], Awaitable[object]]
) -> None:
    long = written(tmp_path, flat_webp(10_000, 10_000))  # 38 bytes, and seconds to decode
    async with pool(timeout=0.7) as children:
        late = await pid(children)
        with pytest.raises(DerivationTimeout, match=r"^The picture was not ready within 0\.7 seconds\.$"):
            await ask(children, long)

        assert await gone(late)
        assert await pid(children) != late
        assert await render(children, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


async def test_a_picture_beyond_the_memory_limit_fails_alone(tmp_path: Path) -> None:
    bomb = written(tmp_path, flat_webp(10_000, 10_000))
    async with pool(memory_mb=400) as children:
        with pytest.raises((Undecodable, RenderFailed)):
            await render(children, bomb)
        with pytest.raises((Undecodable, RenderFailed)):
            await look(children, bomb)

        assert await render(children, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


async def test_leaving_a_rendering_early_ends_its_process() -> None:
    async with pool() as children:
        async with children.process(LIVE) as process:
            left = pid_of(process)
            async for _ in process.render(ROCKET, STANDARD):
                break

        assert await gone(left)
        assert await pid(children) != left
        assert await render(children, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


async def test_a_cancelled_caller_ends_its_process_and_gives_its_place_back(tmp_path: Path) -> None:
    long = written(tmp_path, flat_webp(8_000, 8_000))
    async with pool(max_waiting=0) as children:
        busy = await pid(children)
        task = asyncio.create_task(render(children, long))
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded):
            await render(children, ROCKET)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await gone(busy)
        assert await render(children, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)


async def test_after_failures_in_a_row_no_more_processes_idle_than_configured() -> None:
    async with pool(processes=2) as children:
        for number in range(6):
            async with children.process(LIVE) as process:
                if number % 2:
                    process.at_rest = False  # as after an answer that was not read to its end
        await asyncio.gather(*children._background)

        assert len(children._idle) == 2
