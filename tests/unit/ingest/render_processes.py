"""The only render process of the tests' pool."""

import asyncio

from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from tests.waiting import GUARD


async def idle_process(pool: RenderPool) -> RenderWorker:
    """Returns the process when it is idle: an earlier test may have killed it, or it was recycled."""
    async with asyncio.timeout(GUARD):
        while not pool._idle:
            await asyncio.sleep(0.02)
    return pool._idle[0]
