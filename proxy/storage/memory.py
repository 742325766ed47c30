"""An object store in memory, for tests."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import anyio

from proxy.storage.object_store import ObjectExists, ObjectInfo, ObjectNotFound, StoredObject


class MemoryStore:
    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}

    async def head(self, key: str) -> ObjectInfo:
        return (await self.get(key)).info

    async def get(self, key: str) -> StoredObject:
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFound(key) from None

    async def download(self, key: str, path: Path) -> ObjectInfo:
        stored = await self.get(key)
        await anyio.Path(path).write_bytes(stored.body)
        return stored.info

    async def put(
        self,
        key: str,
        body: bytes | Path,
        *,
        content_type: str,
        cache_control: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        data = await anyio.Path(body).read_bytes() if isinstance(body, Path) else body
        if if_absent and key in self._objects:
            raise ObjectExists(key)
        info = ObjectInfo(key, len(data), datetime.now(UTC), content_type, cache_control, dict(metadata or {}))
        self._objects[key] = StoredObject(info, data)

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._objects.pop(key, None)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield self._objects[key].info

    async def close(self) -> None:
        pass
