"""An object store in memory, for tests."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
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

    async def temporary_url(self, key: str, seconds: int, file_name: str) -> str | None:
        return None

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

    async def copy(self, source: str, target: str) -> None:
        stored = await self.get(source)
        info = replace(stored.info, key=target, last_modified=datetime.now(UTC))
        self._objects[target] = StoredObject(info, stored.body)

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        stored = await self.get(key)
        info = replace(stored.info, metadata=dict(metadata), last_modified=datetime.now(UTC))
        self._objects[key] = StoredObject(info, stored.body)

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._objects.pop(key, None)

    async def delete_versions(self, *prefixes: str) -> None:
        for key in [key for key in self._objects if key.startswith(prefixes)]:
            del self._objects[key]

    async def is_versioned(self) -> bool:
        return False

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        for key in sorted(self._objects):
            if key.startswith(prefix) and key > after:
                yield self._objects[key].info

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        below = (key.removeprefix(prefix) for key in sorted(self._objects) if key.startswith(prefix))
        for name in dict.fromkeys(rest.partition("/")[0] for rest in below if "/" in rest):
            yield name

    async def close(self) -> None:
        pass
