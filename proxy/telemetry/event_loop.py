"""Measures each second how late the event loop is, and samples the gauges."""

import asyncio

from proxy.telemetry.metrics import Metrics

_PERIOD = 1.0  # seconds


async def sample_periodically(metrics: Metrics) -> None:
    """Measures the event loop's lag and samples the gauges once a second, until cancelled."""
    loop = asyncio.get_running_loop()
    metrics.watch(metrics.tasks, lambda: len(asyncio.all_tasks(loop)))
    while True:
        due = loop.time() + _PERIOD
        await asyncio.sleep(_PERIOD)
        metrics.loop_lag_seconds.observe(max(0.0, loop.time() - due))
        metrics.sample()
