"""The default object store: files on a local disk.

One object is one file: a line of JSON with the headers and metadata, then the bytes. A single rename replaces both at
once; with two files, metadata could end up beside another version's bytes.
"""

import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread

from proxy.errors import StoreUnavailable
from proxy.storage.files import NewFile
from proxy.storage.object_store import DAMAGED, ObjectExists, ObjectInfo, ObjectNotFound, StoredObject

T = TypeVar("T")

INCOMING = ".incoming"
"""Folder where objects are written before they are renamed. `darkroom gc` removes what a killed process left in it."""

_MAX_HEADER = 16 * 1024  # bytes; twice S3's limit for an object's metadata, with room for the content type
_LIST_PAGE = 500


class DiskStore:
    """Keeps objects under `root`. Any number of processes on one machine may share it."""

    def __init__(self, root: Path, *, threads: int = 16) -> None:
        self._root = root
        self._incoming = root / INCOMING
        self._threads = anyio.CapacityLimiter(threads)
        # Their own: anybody causes look-ups, with unknown ids, and they must not delay downloads of originals.
        self._lookups = anyio.CapacityLimiter(threads)

    async def head(self, key: str) -> ObjectInfo:
        def head() -> ObjectInfo:
            with self._open(key) as (info, _):
                return info

        return await self._run(head, self._lookups)

    async def get(self, key: str) -> StoredObject:
        def get() -> StoredObject:
            with self._open(key) as (info, file):
                body = file.read()
            if len(body) != info.size:
                raise _changed(key)
            return StoredObject(info, body)

        return await self._run(get, self._lookups)

    async def download(self, key: str, path: Path) -> ObjectInfo:
        def download() -> ObjectInfo:
            with self._open(key) as (info, source), NewFile(path).opened() as target:
                shutil.copyfileobj(source, target, 1 << 20)
                if target.tell() != info.size:
                    raise _changed(key)
            return info

        return await self._run(download)

    async def temporary_url(self, key: str, seconds: int, file_name: str) -> str | None:  # noqa: ARG002 - the port has it
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
        header = {"content_type": content_type, "cache_control": cache_control, "metadata": dict(metadata or {})}

        def put() -> None:
            with self._new_object(key, if_absent=if_absent) as file:
                file.write(json.dumps(header).encode() + b"\n")
                if isinstance(body, Path):
                    with body.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                else:
                    file.write(body)

        await self._run(put)

    async def copy(self, source: str, target: str) -> None:
        def copy() -> None:
            with self._path(source).open("rb") as original, self._new_object(target) as file:
                shutil.copyfileobj(original, file, 1 << 20)

        await self._run(copy)

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        def set_metadata() -> None:
            with self._open(key) as (info, source), self._new_object(key) as file:
                header = {"content_type": info.content_type, "cache_control": info.cache_control}
                file.write(json.dumps(header | {"metadata": dict(metadata)}).encode() + b"\n")
                shutil.copyfileobj(source, file, 1 << 20)

        await self._run(set_metadata)

    async def delete(self, *keys: str) -> None:
        def delete() -> None:
            for key in keys:
                path = self._path(key)
                path.unlink(missing_ok=True)
                self._prune(path.parent)

        await self._run(delete)

    async def delete_versions(self, *prefixes: str) -> None:
        def keys() -> list[str]:
            return [key for prefix in prefixes for key in self._keys(prefix)]

        await self.delete(*await self._run(keys))

    async def is_versioned(self) -> bool:
        return False

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        keys = self._keys(prefix, after)
        while page := await self._run(lambda: self._page(keys)):
            for info in page:
                yield info

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        def folders() -> Sequence[str]:
            self._raise_if_file()
            return self._folders(self._root / prefix)

        for name in await self._run(folders):
            yield name

    async def close(self) -> None:
        pass

    async def _run(self, work: Callable[[], T], threads: anyio.CapacityLimiter | None = None) -> T:
        """Runs blocking file work in a thread and translates OSError; the only place that does."""

        def run() -> T:
            try:
                return work()
            except NotADirectoryError:
                self._raise_if_file()
                raise

        try:
            return await anyio.to_thread.run_sync(run, limiter=threads or self._threads)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectNotFound(str(error)) from error
        except FileExistsError as error:
            raise ObjectExists(str(error)) from error
        except OSError as error:
            raise StoreUnavailable(f"The data folder failed: {error.strerror}.") from error

    def _raise_if_file(self) -> None:
        """Raises StoreUnavailable if DATA_DIR is a file: opening any key fails then like a missing key, and all uploads
        would be 404.

        Not for each call: in a busy process, a thread may wait 5 ms for the interpreter after each system call.
        """
        if any(folder.exists() and not folder.is_dir() for folder in (self._root.parent, self._root)):
            raise StoreUnavailable("DATA_DIR, or its folder `objects`, is a file. Replace it by a folder.")

    def _path(self, key: str) -> Path:
        if not key or any(part in ("", ".", "..") or part.startswith(".") for part in key.split("/")):
            raise ValueError(f"not a key: {key!r}")
        return self._root / key

    @contextmanager
    def _open(self, key: str) -> Iterator[tuple[ObjectInfo, BinaryIO]]:
        with self._path(key).open("rb") as file:
            line = file.readline(_MAX_HEADER)
            stat = os.fstat(file.fileno())
            size, last_modified = stat.st_size - len(line), datetime.fromtimestamp(stat.st_mtime, UTC)
            try:
                header = json.loads(line)
                info = ObjectInfo(
                    key, size, last_modified, header["content_type"], header["cache_control"], header["metadata"]
                )
            except (ValueError, TypeError, KeyError) as error:
                raise StoreUnavailable(
                    f"The object {key} is damaged: its first line is not a header.", reason=DAMAGED
                ) from error
            yield info, file

    @contextmanager
    def _new_object(self, key: str, *, if_absent: bool = False) -> Iterator[BinaryIO]:
        """Yields a file for the object's header and bytes. At the end of the block it is durable and has its key."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        incoming = self._incoming / uuid4().hex
        try:
            with incoming.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            self._publish(incoming, self._path(key), if_absent=if_absent)
        finally:
            incoming.unlink(missing_ok=True)

    def _publish(self, incoming: Path, path: Path, *, if_absent: bool) -> None:
        """Renames a finished file to its key. `link` fails if the name exists; `replace` overwrites it."""
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                if if_absent:
                    os.link(incoming, path)
                else:
                    incoming.replace(path)
            except FileNotFoundError:
                if not incoming.exists():
                    raise StoreUnavailable("The data folder was cleared during a write. Try again.") from None
                continue  # a concurrent delete pruned the folder after mkdir
            break
        for folder in (path.parent, path.parent.parent):  # makes the new name durable
            with suppress(FileNotFoundError):  # already deleted and pruned
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _prune(self, folder: Path) -> None:
        """Removes folders that a deletion left empty, upwards."""
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # not empty, or already removed
                return
            folder = folder.parent

    def _keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yields keys that start with `prefix` and come after `after`.

        They are in order if no folder has both files and folders, as none of ours has. Walks only the folder that the
        prefix names; yields nothing if it is missing. Raises OSError if it cannot be read, because a deletion would
        otherwise take it for empty. Leaves out folders in it that cannot be read.
        """
        self._raise_if_file()
        base = self._root / prefix.rpartition("/")[0]

        def on_error(error: OSError) -> None:
            if error.filename == str(base) and not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error

        for folder, folders, files in os.walk(base, onerror=on_error):
            relative = Path(folder).relative_to(self._root)
            stem = "" if relative == Path() else f"{relative.as_posix()}/"
            least = after.removeprefix(stem).partition("/")[0] if after.startswith(stem) else ""  # else all or none
            folders[:] = sorted(name for name in folders if not name.startswith(".") and f"{name}/" > least)
            for name in sorted(files):
                key = (relative / name).as_posix()
                if key.startswith(prefix) and key > after:
                    yield key

    @staticmethod
    def _folders(base: Path) -> Sequence[str]:
        """Returns the names of all folders in `base`, in key order. Holds them in memory: 90 bytes each."""
        if not base.is_dir():
            return ()
        with os.scandir(base) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        return sorted(names, key=lambda name: f"{name}/")

    def _listing_entry(self, key: str) -> ObjectInfo:
        """Returns what a listing says of an object, also of a damaged one: what is not listed is never removed."""
        try:
            with self._open(key) as (info, _):
                return info
        except FileNotFoundError:
            raise
        except (StoreUnavailable, OSError):
            stat = self._path(key).stat()
            return ObjectInfo(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    def _page(self, keys: Iterator[str]) -> Sequence[ObjectInfo]:
        page = []
        for key in keys:
            # Deleted since the walk, or in a folder that can be read, but not searched.
            with suppress(FileNotFoundError, PermissionError):
                page.append(self._listing_entry(key))
            if len(page) == _LIST_PAGE:
                break
        return page


def _changed(key: str) -> StoreUnavailable:
    return StoreUnavailable(f"The object {key} changed while it was read. Try again.")
