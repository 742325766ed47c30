"""Invalidations among the processes of one machine, by files in the data folder."""

import asyncio
import time
from pathlib import Path

import anyio.to_thread
import structlog

from proxy.variants.invalidation.invalidation_bus import (
    NOT_PUBLISHED,
    Invalidation,
    OnInvalidation,
    parse_invalidation,
)

log = structlog.get_logger()

_POLL_SECONDS = 0.5
_KEEP_SECONDS = 120  # longer than memory_cache.MAX_AGE, after which no cache has the upload anyway


class FileInvalidationBus:
    """Publishes an empty file named by the invalidation. Subscribers poll for new ones.

    `folder`: made if it is missing. Subscribers remove invalidations in it that are older than two minutes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def publish(self, invalidation: Invalidation) -> None:
        try:
            await anyio.to_thread.run_sync(self._touch, invalidation.text)
        except OSError as error:
            log.warning(NOT_PUBLISHED, upload=invalidation.upload_id, error=str(error))

    async def subscribe(self, on_invalidation: OnInvalidation) -> None:
        seen: dict[str, int] | None = None  # modification times, in nanoseconds, by name
        while True:
            try:
                found = await anyio.to_thread.run_sync(self._scan)
            except OSError:  # a full or failing disk, which the object store reports
                seen = None
            else:
                if seen is None:
                    on_invalidation(None)
                else:
                    for name in found.keys() - {name for name, changed in seen.items() if found.get(name) == changed}:
                        on_invalidation(parse_invalidation(name))
                seen = found
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        pass

    def _touch(self, name: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).touch()

    def _scan(self) -> dict[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found = {}
        oldest = time.time_ns() - _KEEP_SECONDS * 10**9
        for path in self._folder.iterdir():
            if parse_invalidation(path.name) is None:  # not one of ours
                continue
            try:
                changed = path.lstat().st_mtime_ns
                if changed < oldest:
                    path.unlink()
                else:
                    found[path.name] = changed
            except OSError:  # another subscriber removed it, or this user may not; the other files still count
                continue
        return found
