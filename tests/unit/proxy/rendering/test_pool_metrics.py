"""What the render pool counts."""

import os
import signal
from pathlib import Path

import pytest

from proxy.errors import (
    DerivationTimeout,
    RenderFailed,
)
from proxy.model import Format
from proxy.telemetry import Metrics
from tests.camera import camera_jpeg
from tests.fakes import eventually, sample
from tests.unit.proxy.imaging.reference import SCALED, target
from tests.unit.proxy.rendering.pools import (
    LIVE,
    ROCKET,
    ROOM,
    SMALL,
    STANDARD,
    kill_after_the_first,
    pid,
    pool,
    render,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


def ended(metrics: Metrics) -> dict[str, float]:
    """Counts ended render workers by reason."""
    reasons = ("deadline", "killed", "died", "invalid", "forbidden", "abandoned", "recycled")
    counts = {reason: sample(metrics, "darkroom_render_ended_total", reason=reason) for reason in reasons}
    return {reason: count for reason, count in counts.items() if count}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "died"), (signal.SIGSYS, "forbidden")]
)
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


@pytest.mark.slow
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


@pytest.mark.slow
async def test_gauges_report_busy_and_idle_workers_and_reserved_bytes() -> None:
    metrics = Metrics()
    async with pool(metrics=metrics, processes=2) as render_pool:
        async with render_pool.acquire(LIVE, ROOM):
            metrics.sample()
            assert sample(metrics, "darkroom_render_processes", state="busy") == 1
            assert sample(metrics, "darkroom_render_processes", state="idle") == 1
            assert sample(metrics, "darkroom_render_reserved_bytes") == ROOM
        metrics.sample()
        assert sample(metrics, "darkroom_render_processes", state="busy") == 0
        assert sample(metrics, "darkroom_render_reserved_bytes") == 0
