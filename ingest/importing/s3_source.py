"""A bucket as the source of an import: the objects whose keys begin with a prefix."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from ingest.importing.import_sources import Entry, LeftOut, Outcome, Source, SourceProblem
from ingest.importing.temporary_download import temporary_file
from ingest.uploads.multipart import too_large
from proxy.errors import StoreUnavailable
from proxy.storage.object_store import ObjectInfo, ObjectNotFound, ObjectStore


class S3Source:
    """Lists a bucket by pages. Each object is downloaded only when it is imported."""

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        prefix: str,
        name: str | None,
        fields: Mapping[str, Any],
        *,
        temporary: Path,
        max_bytes: int,
    ) -> None:
        """`store`: of the bucket to import. `name`: begins the identities in place of the bucket and the prefix."""
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._name = name
        self._fields = fields
        self._temporary = temporary
        self._max_bytes = max_bytes

    async def count(self) -> int:
        total = 0
        async for _ in self._store.list(self._prefix):
            total += 1
        return total

    async def entries(self) -> AsyncGenerator[Entry]:
        async for info in self._store.list(self._prefix):
            name = self._identity(info.key)
            if info.key.endswith("/") and not info.size:
                yield LeftOut(name, Outcome.IGNORED, "folder_marker", "It is an empty object that stands for a folder.")
            else:
                yield Source(name, name, self._download(info), self._fields, size=info.size)

    def _identity(self, key: str) -> str:
        if self._name is None:
            return f"s3://{self._bucket}/{key}"
        return f"{self._name.rstrip('/')}/{key.removeprefix(self._prefix).lstrip('/')}"

    def _download(self, info: ObjectInfo) -> Callable[[], AbstractAsyncContextManager[Path]]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Path]:
            if info.size > self._max_bytes:  # before it is downloaded
                raise too_large(self._max_bytes)
            async with temporary_file(self._temporary) as path:
                try:
                    await self._store.download(info.key, path)
                except ObjectNotFound:
                    raise SourceProblem("unreadable", "The object was deleted since it was listed.") from None
                except StoreUnavailable as error:
                    if error.is_outage:
                        raise
                    raise SourceProblem("unreadable", f"The object cannot be read. {error}") from error
                yield path

        return opened
