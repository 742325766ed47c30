"""Files that threads write, which their callers may abandon; and why a folder is not writable."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import BinaryIO

import anyio.to_thread

_REMOVE_TIMEOUT = 4.0  # seconds


class NewFile:
    """A new file that a thread writes. The thread's caller may abandon it while the thread still runs.

    A thread cannot be stopped: it may create the file after its caller's deadline, and a repeated call would then fail.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()  # for one system call; never taken on the event loop
        self._exists = False
        self._is_abandoned = False

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Creates the file, in the thread; removes it if the block raises, or on a disk too full to close it."""
        with self._lock:
            self.raise_if_abandoned()
            file = self._path.open("xb")
            self._exists = True
        try:
            with file:
                yield file
            self.raise_if_abandoned()
        except BaseException:
            self._remove()
            raise

    def raise_if_abandoned(self) -> None:
        """Raises if the caller has abandoned the file. Call it between writes, so that the thread ends early."""
        if self._is_abandoned:
            raise RuntimeError("The caller has left.")  # no caller sees it

    async def abandon(self) -> None:
        """Removes the file, so that another one can be created. Returns after some seconds if the disk hangs.

        Raises nothing of its own, so that its caller's exception is raised.
        """
        self._is_abandoned = True
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(_REMOVE_TIMEOUT):
                await anyio.to_thread.run_sync(self._remove)

    def _remove(self) -> None:
        with self._lock:
            if self._exists:
                self._path.unlink(missing_ok=True)
                self._exists = False


def why_not_writable(folder: Path) -> str:
    """Tries to create the folder, if it is missing, and a file in it. Returns why that fails, for people; else "".

    A full disk is no reason: space may become free while the process runs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ""
        return (
            f"User {os.getuid()}, group {os.getgid()} cannot write to {folder} ({error.strerror}): "
            "let this user write there, or set DATA_DIR to another folder."
        )
