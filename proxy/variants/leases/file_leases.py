"""Leases among the processes of one machine, by lock files in the data folder (filelock)."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import structlog
from filelock import AsyncFileLock, Timeout

from proxy.variants.leases.lease_store import RELEASED_SECONDS

log = structlog.get_logger()

_HEX_DIGITS = 4  # 65,536 slots: among 64 concurrent derivations, two share a slot in 3 of 100 cases
_POLL_SECONDS = 0.02  # between attempts, each of which is one system call


class FileLeaseStore:
    """Locks one file per slot. Keys are hashed to slots, which bounds the number of files.

    Two keys in one slot wait for each other, which only costs time. The kernel frees a dead holder's lock at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        path = self._path(key)
        lock = AsyncFileLock(path, poll_interval=_POLL_SECONDS)
        held = True
        try:
            await anyio.Path(self._folder).mkdir(parents=True, exist_ok=True)
            await lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            held = False
        except OSError as error:
            log.warning("lock file unusable, lease granted without it", error=str(error))
        try:
            yield held
        finally:
            if lock.is_locked:
                with suppress(OSError):
                    await asyncio.to_thread(os.utime, path)
                await lock.release()

    async def was_released(self, key: str) -> bool:
        """Judges by the time stamp of the slot's file. A new file counts as released."""
        with suppress(OSError):
            return time.time() - (await anyio.Path(self._path(key)).stat()).st_mtime < RELEASED_SECONDS
        return False

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:_HEX_DIGITS]}.lock"

    async def close(self) -> None:
        pass
