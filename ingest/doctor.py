"""Checks what Darkroom depends on, as it depends on it, and says what to mend."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import anyio

from ingest.catalog.database import Database
from ingest.queue.base import WarmupQueue
from proxy.errors import ServiceError
from proxy.model import new_upload_id
from proxy.storage.base import ObjectExists, ObjectNotFound, ObjectStore

_FOLDER = "doctor/"
"""Its trial objects: beside the prefixes that uploads use, and removed again."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`well`: nothing to do. Otherwise `remark` says what to mend, or, for what only costs speed, what it costs."""

    name: str
    well: bool
    remark: str


class Doctor:
    """Examines one installation."""

    def __init__(self, store: ObjectStore, database: Database, queue: WarmupQueue, temporary: Path) -> None:
        self._store = store
        self._temporary = temporary
        self._checks: dict[str, Callable[[], Awaitable[str]]] = {
            "object store": self._round_trip,
            "conditional writes": self._conditional_writes,
            "database": lambda: _fine(database.check()),
            "queue": lambda: _fine(queue.gave_up(new_upload_id())),
            "temporary files": self._temporary_files,
        }

    async def examine(self) -> AsyncIterator[Finding]:
        for name, check in self._checks.items():
            try:
                remark = await check()
            except ServiceError as error:
                yield Finding(name, well=False, remark=str(error))
            else:
                yield Finding(name, well=True, remark=remark)

    async def _round_trip(self) -> str:
        """Every right that Darkroom needs, and the 404 (not 403) for what is not there."""
        key = f"{_FOLDER}{uuid4()}"
        await self._store.put(key, b"trial", content_type="text/plain", metadata={"recipe": "trial"})
        try:
            stored = await self._store.get(key)
            listed = [info.key async for info in self._store.list(key)]
        finally:
            await self._store.delete(key)
        if stored.body != b"trial" or stored.info.metadata.get("recipe") != "trial" or listed != [key]:
            raise ServiceError("It gives back something else than it was given: bytes, metadata or listing.")
        try:
            await self._store.head(key)
        except ObjectNotFound:
            return "reads, writes, lists, deletes"
        raise ServiceError("It still has an object that was deleted: it is not consistent enough to rely on.")

    async def _conditional_writes(self) -> str:
        key = f"{_FOLDER}{uuid4()}"
        try:
            await self._store.put(key, b"first", content_type="text/plain", if_absent=True)
            try:
                await self._store.put(key, b"second", content_type="text/plain", if_absent=True)
            except ObjectExists:
                return "honoured"
            return "ignored by this store: leases alone keep work from being done twice, and the pictures stay right"
        finally:
            await self._store.delete(key)

    async def _temporary_files(self) -> str:
        path = anyio.Path(self._temporary / f"doctor-{uuid4().hex}")
        try:
            await path.parent.mkdir(parents=True, exist_ok=True)
            await path.write_bytes(b"trial")
            await path.unlink()
        except OSError as error:
            raise ServiceError(f"{path.parent} cannot be written to: {error.strerror}.") from error
        return str(path.parent)


async def _fine(check: Awaitable[object]) -> str:
    await check
    return "answers"
