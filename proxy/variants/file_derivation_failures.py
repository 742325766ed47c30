"""Failures of derivations, shared by the processes of one machine through files in the data folder."""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import anyio.to_thread

from proxy.variants.derivation_pauses import REMEMBERED, DerivationFailures, parse_failures


class FileFailures:
    """One small file for each variant that failed. `darkroom gc` removes those that have expired."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, keys: Sequence[str]) -> Sequence[DerivationFailures | None]:
        return await anyio.to_thread.run_sync(lambda: [self._read(self._path(key)) for key in keys])

    async def put(self, key: str, failures: DerivationFailures) -> None:
        def write() -> None:
            self._folder.mkdir(parents=True, exist_ok=True)
            new = self._folder / uuid4().hex  # so that no process reads half of it
            new.write_text(failures.text)
            new.replace(self._path(key))

        await self._run(write)

    async def delete(self, key: str) -> None:
        await self._run(lambda: self._path(key).unlink(missing_ok=True))

    async def close(self) -> None:
        pass

    @staticmethod
    async def _run(work: Callable[[], None]) -> None:
        with suppress(OSError):  # a full or failing disk, which the object store reports
            await anyio.to_thread.run_sync(work)

    @staticmethod
    def _read(path: Path) -> DerivationFailures | None:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < REMEMBERED:
                return parse_failures(path.read_bytes())
        return None

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()
