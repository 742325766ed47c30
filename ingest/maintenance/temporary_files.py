"""Finds and removes files that killed processes left in the folders of this machine."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from proxy.errors import ServiceError


def old_files(folder: Path, before: datetime) -> list[str]:
    """Returns the paths in `folder` last modified earlier than `before`. Raises ServiceError."""
    with _translating():
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        return [str(path) for path in paths if _modified_at(path) < before.timestamp()]


def _modified_at(path: Path) -> float:
    """Returns the modification time in epoch seconds, infinity for a file that was just removed."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return math.inf


def remove_file(path: Path) -> None:
    """Removes a file, or as much of a folder as possible. Raises ServiceError with the first path that stayed."""
    with _translating(), suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            try:
                shutil.rmtree(path)  # raises the reason if something stayed
            except OSError as error:
                error.filename = next((each for each in path.rglob("*") if not each.is_dir()), path)
                raise
        else:
            path.unlink()


@contextmanager
def _translating() -> Iterator[None]:
    """Raises ServiceError for a file or folder that this user may not read or remove."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ServiceError(f"{error.strerror}: {error.filename}. Remove it as its owner.") from error
