"""The object store port. `tests/contracts/object_store` is its definition; every adapter passes it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from proxy.errors import StoreUnavailable

DAMAGED = "damaged"
"""Why StoreUnavailable is raised for what is stored, but is no whole object: who can make it anew may remove it."""


class ObjectNotFound(Exception):
    """Nothing is stored under this key."""


class ObjectExists(Exception):
    """A conditional put met an object, or a rival writer: somebody else's object stands."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object without its bytes. A listing may leave `content_type` and `metadata` empty."""

    key: str
    size: int
    last_modified: datetime
    content_type: str = ""
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object with all its bytes: `len(body) == info.size`, or the adapter raises StoreUnavailable."""

    info: ObjectInfo
    body: bytes


class ObjectStore(Protocol):
    """Keys are slash-separated relative paths made by `proxy.keys`; metadata is ASCII, its keys lower-case.

    Every method raises StoreUnavailable when the store is away or answers nonsense, and none blocks the event loop.
    """

    async def head(self, key: str) -> ObjectInfo:
        """Raises ObjectNotFound."""

    async def get(self, key: str) -> StoredObject:
        """The whole object, in memory: for variants. Raises ObjectNotFound."""

    async def download(self, key: str, path: Path) -> ObjectInfo:
        """The object's bytes as a new file at `path`, never whole in memory: for originals. Raises ObjectNotFound."""

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
        """Durable and all-or-nothing when it returns. With `if_absent`, raises ObjectExists and changes nothing."""

    async def delete(self, *keys: str) -> None:
        """Idempotent: a key that is not there is no error."""

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in key order."""

    async def close(self) -> None:
        """Frees connections and threads."""


async def look_up(store: ObjectStore, key: str) -> ObjectInfo | None:
    """`head`, or None where nothing is stored under this key, or nothing whole. Raises StoreUnavailable."""
    try:
        return await store.head(key)
    except ObjectNotFound:
        return None
    except StoreUnavailable as error:
        if error.reason == DAMAGED:
            return None
        raise


async def exists(store: ObjectStore, key: str) -> bool:
    """Whether anything is stored under this key, whole or not. Raises StoreUnavailable."""
    try:
        await store.head(key)
    except ObjectNotFound:
        return False
    except StoreUnavailable as error:
        if error.reason != DAMAGED:
            raise
    return True
