"""A folder as the source of an import: its files, and those of the folders in it."""

import os
import stat
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread

from ingest.importing.import_sources import Entry, InvalidSource, LeftOut, Outcome, Source, in_thread, local_file

_HIDDEN = "hidden", "Its name begins with a dot."
_LINK = "symbolic_link", "Symbolic links are not followed."
_SPECIAL = "special_file", "It is not a regular file or folder."
_DATA = "data_folder", "It is the DATA_DIR of this installation."


class FolderSource:
    """Lists a folder of any number of files in little memory."""

    def __init__(self, folder: Path, name: str | None, fields: Mapping[str, Any], data_dir: Path) -> None:
        """`name`: begins the identities in place of the folder's path. `data_dir`: is left out.

        Raises InvalidSource for a folder within `data_dir`.
        """
        self._root = os.path.realpath(folder)
        self._name = self._root.rstrip("/") if name is None else name.rstrip("/")
        self._fields = fields
        self._data_dir = os.path.realpath(data_dir)
        if os.path.commonpath([self._root, self._data_dir]) == self._data_dir:
            raise InvalidSource(f"{folder} is within the DATA_DIR of this installation. Give another folder.")

    async def count(self) -> int:
        return await anyio.to_thread.run_sync(lambda: sum(1 for _ in self._walk()))

    async def entries(self) -> AsyncGenerator[Entry]:
        async for entry in in_thread(self._walk()):
            yield entry

    def _walk(self) -> Generator[Entry]:
        try:
            waiting = [(self._root, os.scandir(self._root))]
        except OSError as error:
            raise InvalidSource(f"The folder {self._root} cannot be read: {error.strerror}.") from error
        try:
            while waiting:
                path, listing = waiting[-1]
                try:
                    entry = next(listing, None)
                except OSError as error:  # in the middle, for instance of a network's folder
                    entry = None
                    yield self._unreadable(path, error)
                if entry is None:
                    listing.close()
                    waiting.pop()
                elif isinstance(found := self._examine(entry), os.DirEntry):
                    try:
                        waiting.append((found.path, os.scandir(found.path)))
                    except OSError as error:
                        yield self._unreadable(found.path, error)
                else:
                    yield found
        finally:
            for _, listing in waiting:
                listing.close()

    def _examine(self, entry: os.DirEntry[str]) -> Entry | os.DirEntry[str]:
        """Returns what the import lists for the entry, or the entry itself if it is a folder to walk into."""
        try:
            if entry.name.startswith("."):
                return self._ignored(entry, *_HIDDEN)
            if entry.is_symlink():
                return self._ignored(entry, *_LINK)
            if entry.is_dir():
                return self._ignored(entry, *_DATA) if entry.path == self._data_dir else entry
            info = entry.stat()
        except OSError as error:
            return self._unreadable(entry.path, error)
        if not stat.S_ISREG(info.st_mode):
            return self._ignored(entry, *_SPECIAL)
        name = self._identity(entry.path)
        return Source(name, name, local_file(entry.path), self._fields, size=info.st_size)

    def _identity(self, path: str) -> str:
        return os.path.normpath(f"{self._name}/{os.path.relpath(path, self._root)}")

    def _ignored(self, entry: os.DirEntry[str], code: str, detail: str) -> LeftOut:
        return LeftOut(self._identity(entry.path), Outcome.IGNORED, code, detail)

    def _unreadable(self, path: str, error: OSError) -> LeftOut:
        return LeftOut(self._identity(path), Outcome.FAILED, "unreadable", f"It cannot be read: {error.strerror}.")
