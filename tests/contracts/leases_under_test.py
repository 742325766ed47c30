"""Leases for tests, including one that another process holds."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from proxy.variants.leases.lease_store import LeaseStore
from tests.waiting import GUARD

SOON = 12  # seconds; a failing Redis may take a quarter of them
LEASE = 1.0  # seconds; renewed every third of it
KEY, OTHER = "images/8f14e45f/small.jpg", "images/8f14e45f/large.jpg"

HOLDER = """
import asyncio, sys
from pathlib import Path
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.redis_leases import RedisLeaseStore
from proxy.telemetry import Metrics

async def main():
    kind, place, key = sys.argv[1:]
    if kind == "file":
        leases = FileLeaseStore(Path(place))
    else:
        leases = RedisLeaseStore(place, Metrics(), answer_seconds=60)
    async with leases.hold(key) as held:
        print(held, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@dataclass(frozen=True)
class TwoClients:
    """Two users of the same leases, or the same one twice."""

    one: LeaseStore
    two: LeaseStore
    place: tuple[str, str]

    @asynccontextmanager
    async def held_elsewhere(self, key: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Starts another process that holds `key` until it is killed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, *self.place, key, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert await process.stdout.readline() == b"True\n"
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def can_acquire(leases: LeaseStore, key: str = KEY) -> bool:
    async with asyncio.timeout(GUARD), leases.hold(key, wait=False) as held:
        return held


async def hold_forever(leases: LeaseStore, holds: asyncio.Event) -> None:
    async with leases.hold(KEY):
        holds.set()
        await asyncio.Event().wait()


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancels the task; fails if the cancellation is lost, as by `asyncio.wait_for` in Python 3.11."""
    task.cancel()
    await asyncio.wait([task], timeout=GUARD)
    assert task.done(), "the cancellation was lost"
