"""An object store around another one, for subclasses that do something before, after or instead of each call."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from proxy.storage.object_store import ObjectInfo, ObjectStore, StoredObject

T = TypeVar("T")


class WrappingStore:
    """Passes every call on to `inner`. All but listings and `close` go through `_call`."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    async def _call(self, _method: str, _key: str, call: Callable[[], Awaitable[T]]) -> T:
        return await call()

    async def head(self, key: str) -> ObjectInfo:
        return await self._call("head", key, partial(self.inner.head, key))

    async def get(self, key: str) -> StoredObject:
        return await self._call("get", key, partial(self.inner.get, key))

    async def download(self, key: str, path: Path) -> ObjectInfo:
        return await self._call("download", key, partial(self.inner.download, key, path))

    async def put(self, key: str, body: bytes | Path, **options: Any) -> None:
        await self._call("put", key, partial(self.inner.put, key, body, **options))

    async def copy(self, source: str, target: str) -> None:
        await self._call("copy", source, partial(self.inner.copy, source, target))

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        await self._call("set_metadata", key, partial(self.inner.set_metadata, key, metadata))

    async def delete(self, *keys: str) -> None:
        await self._call("delete", " ".join(keys), partial(self.inner.delete, *keys))

    async def delete_versions(self, *prefixes: str) -> None:
        await self._call("delete_versions", " ".join(prefixes), partial(self.inner.delete_versions, *prefixes))

    async def is_versioned(self) -> bool:
        return await self._call("is_versioned", "", self.inner.is_versioned)

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        return self.inner.list(prefix, after=after)

    def folders(self, prefix: str) -> AsyncIterator[str]:
        return self.inner.folders(prefix)

    async def close(self) -> None:
        await self.inner.close()
