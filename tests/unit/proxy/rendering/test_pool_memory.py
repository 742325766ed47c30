"""The memory of the render pool: estimates that are refused, and reserves that are kept."""

import asyncio
import os
from pathlib import Path

import pytest

from proxy.errors import (
    RenderFailed,
    TooHeavy,
)
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from proxy.settings import RENDER_IDLE_MB
from tests.conftest import reads
from tests.photographs import photograph, photograph_bytes
from tests.pictures import flat_webp, jpeg, png_header
from tests.unit.proxy.imaging.reference import rendered
from tests.unit.proxy.rendering.pools import (
    LIVE,
    ROCKET,
    ROOM,
    SMALL,
    deep,
    inspect_with,
    pid,
    pool,
    render,
    rendered_by,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


@pytest.mark.heavy
async def test_unreadable_header_is_estimated_at_the_maximum(tmp_path: Path) -> None:
    async with pool(memory_mb=1000, process_mb=500) as render_pool:
        for odd in (b"", b"GIF89a", jpeg(photograph("coffee.png"))[:100], png_header(10_001, 100)):
            assert await render_pool.estimate_memory(written(tmp_path, odd)) == (500 - RENDER_IDLE_MB) << 20


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
