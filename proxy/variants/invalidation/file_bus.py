"""Deletions announced between the processes of one machine, by files in the data folder."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import structlog

from proxy.model import UploadId, parse_upload_id

log = structlog.get_logger()

_LOOK_EVERY = 0.5  # seconds
_KEPT = 120  # seconds; whoever has not looked for so long has forgotten the picture by itself (hot.MAX_AGE)


class FileInvalidationBus:
    """An empty file for each deletion, named by the upload. Who listens looks for new ones, and removes old ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def publish(self, upload_id: UploadId) -> None:
        try:
            await anyio.to_thread.run_sync(self._touch, upload_id)
        except OSError as error:
            log.warning("other processes were not told of a deletion", upload=upload_id, error=str(error))

    async def subscribe(self, heard: Callable[[UploadId | None], None]) -> None:
        seen: dict[str, int] | None = None  # times of change, in nanoseconds, by name
        while True:
            try:
                found = await anyio.to_thread.run_sync(self._look)
            except OSError:  # a full or failing disk, of which the store complains
                seen = None
            else:
                if seen is None:
                    heard(None)
                else:
                    for name in found.keys() - {name for name, at in seen.items() if found.get(name) == at}:
                        heard(parse_upload_id(name))
                seen = found
            await asyncio.sleep(_LOOK_EVERY)

    async def close(self) -> None:
        pass

    def _touch(self, upload_id: UploadId) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / upload_id).touch()

    def _look(self) -> dict[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found = {}
        oldest = time.time_ns() - _KEPT * 10**9
        for path in self._folder.iterdir():
            try:
                changed = path.lstat().st_mtime_ns
                if changed < oldest:
                    path.unlink()
                elif parse_upload_id(path.name):
                    found[path.name] = changed
            except FileNotFoundError:  # another listener has removed it
                continue
        return found
