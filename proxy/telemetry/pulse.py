"""Once a second: how late the event loop is, and what the gauges show."""

import asyncio

from proxy.telemetry.metrics import Metrics

_PERIOD = 1.0  # seconds


async def pulse(metrics: Metrics) -> None:
    """Until it is cancelled."""
    now = asyncio.get_running_loop().time
    while True:
        due = now() + _PERIOD
        await asyncio.sleep(_PERIOD)
        metrics.loop_lag_seconds.observe(max(0.0, now() - due))
        metrics.sample()
