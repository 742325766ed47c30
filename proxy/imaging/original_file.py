"""An original as the imaging functions read it: a path, a descriptor that the server opened, or bytes in memory."""

import os
from io import BufferedReader, BytesIO, RawIOBase
from typing import BinaryIO, Literal, Protocol

from typing_extensions import Buffer, override


class OriginalFile(Protocol):
    """A file that can be opened more than once at a time, as a Path can."""

    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


class OpenedFile:
    """An original by its descriptor, for a process that may open no file. Does not own the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def open(self, mode: Literal["rb"]) -> BinaryIO:  # noqa: ARG002 - as Path.open
        """Returns a reader with a position of its own; closing it leaves the descriptor open."""
        return BufferedReader(_PositionedReader(self._descriptor))


class FileInMemory:
    """A file whose bytes are in memory, such as one frame of an animation."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def open(self, mode: Literal["rb"]) -> BinaryIO:  # noqa: ARG002 - as Path.open
        return BytesIO(self._body)


class _PositionedReader(RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0

    @override
    def fileno(self) -> int:
        return self._descriptor

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        if start is None:
            start = os.fstat(self._descriptor).st_size
        if start + offset < 0:
            raise OSError("negative position")
        self._position = start + offset
        return self._position

    @override
    def tell(self) -> int:
        return self._position
