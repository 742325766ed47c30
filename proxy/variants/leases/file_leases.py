"""Leases between the processes of one machine, through files in the data folder (filelock)."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import structlog
from filelock import AsyncFileLock, Timeout

log = structlog.get_logger()

_DIGITS = 4  # 65,536 slots: two of 64 derivations at once meet in 3 of 100 cases
_POLL = 0.02  # seconds between attempts; an attempt is one system call


class FileLeaseStore:
    """A file for each of many slots that keys share by chance, so that there is an end of files.

    Two keys that meet wait for each other, which costs them time alone. The kernel frees a dead holder's lock at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        slot = hashlib.sha256(key.encode()).hexdigest()[:_DIGITS]
        lock = AsyncFileLock(self._folder / f"{slot}.lock", poll_interval=_POLL)
        held = True
        try:
            await anyio.Path(self._folder).mkdir(parents=True, exist_ok=True)
            await lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            held = False
        except OSError as error:
            log.warning("no lock files: derivations may be made twice", error=str(error))
        try:
            yield held
        finally:
            if lock.is_locked:
                await lock.release()

    async def close(self) -> None:
        pass
