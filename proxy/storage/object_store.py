"""The object store port. Every adapter passes the tests in `tests/contracts/object_store`."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from proxy.errors import StoreUnavailable

DAMAGED = "damaged"
"""`reason` of StoreUnavailable for a stored but damaged object. Callers that can recreate it may delete it."""


class ObjectNotFound(Exception):
    """Nothing is stored under this key."""


class ObjectExists(Exception):
    """A conditional put found an object, or lost to a concurrent put. The existing object is unchanged."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's size in bytes, headers and metadata. Listings may leave all after `last_modified` empty."""

    key: str
    size: int
    last_modified: datetime
    content_type: str = ""
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object with all its bytes: `len(body) == info.size`; the adapter raises StoreUnavailable otherwise."""

    info: ObjectInfo
    body: bytes


class ObjectStore(Protocol):
    """Stores objects by key. An object has bytes, headers and metadata.

    Keys are slash-separated relative paths, made by `proxy.keys`. Metadata is ASCII, with lower-case keys. Every method
    raises StoreUnavailable if the store fails or its response is invalid. None blocks the event loop.
    """

    async def head(self, key: str) -> ObjectInfo:
        """Returns the object's info, without its bytes. Raises ObjectNotFound."""

    async def get(self, key: str) -> StoredObject:
        """Returns the whole object, in memory; meant for variants. Raises ObjectNotFound."""

    async def download(self, key: str, path: Path) -> ObjectInfo:
        """Streams the object to a new file at `path`; meant for originals. Raises ObjectNotFound."""

    async def temporary_url(self, key: str, seconds: int, file_name: str) -> str | None:
        """Returns a URL from which anyone may download the object for `seconds`, under `file_name`.

        Does not check that the object exists. Returns None if the store has no such URLs.
        """

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
        """Stores an object atomically and durably. `if_absent`: raises ObjectExists instead of overwriting one."""

    async def copy(self, source: str, target: str) -> None:
        """Copies an object with its headers and metadata, atomically and durably. Raises ObjectNotFound.

        The copy's `last_modified` is now. An object at `target` is overwritten.
        """

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        """Replaces an object's metadata, atomically and durably. Raises ObjectNotFound.

        Bytes and headers stay; `last_modified` becomes now. It may undo a concurrent deletion, so callers check
        afterwards that the object should exist.
        """

    async def delete(self, *keys: str) -> None:
        """Deletes objects. Idempotent: a missing key is not an error. A bucket with versioning keeps old versions."""

    async def delete_versions(self, *prefixes: str) -> None:
        """Deletes every object, old version and delete marker whose key starts with one of `prefixes`. Idempotent."""

    async def is_versioned(self) -> bool:
        """Whether the store keeps versions of deleted objects."""

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yields every object whose key starts with `prefix` and comes after `after`, in key order.

        Sends a request for each page of 500 or 1000 objects, and holds one page in memory. `after` must not name a
        folder: SeaweedFS would skip what is in it.
        """

    def folders(self, prefix: str) -> AsyncIterator[str]:
        """Yields the names of the folders directly below `prefix`, which ends with a slash, in key order.

        Cheaper than `list`: the objects in the folders are not listed.
        """

    async def close(self) -> None:
        """Frees connections and threads."""


async def look_up(store: ObjectStore, key: str) -> ObjectInfo | None:
    """Returns the object's info; None if it is missing or damaged. Raises StoreUnavailable."""
    try:
        return await store.head(key)
    except ObjectNotFound:
        return None
    except StoreUnavailable as error:
        if error.reason == DAMAGED:
            return None
        raise


async def exists(store: ObjectStore, key: str) -> bool:
    """Whether an object is stored under this key, intact or damaged. Raises StoreUnavailable."""
    try:
        await store.head(key)
    except ObjectNotFound:
        return False
    except StoreUnavailable as error:
        if error.reason != DAMAGED:
            raise
    return True
