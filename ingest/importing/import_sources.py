"""The sources of an import, each with identity, fields and access to its bytes."""

import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from ingest.uploads.multipart import too_large

T = TypeVar("T")

_BATCH = 500  # entries that a thread lists at a time
_CHUNK = 256 * 1024  # bytes


class Outcome(StrEnum):
    """The result of a source."""

    IMPORTED = "imported"
    NEW = "new"
    """A dry run would import it."""
    ALREADY = "already"
    """An earlier run imported it."""
    REFUSED = "refused"
    """It cannot be imported as it is: trying again gives the same result."""
    FAILED = "failed"
    """It could not be read or stored. Another run may import it."""
    IGNORED = "ignored"
    """Not for import, such as a hidden file."""


class InvalidSource(Exception):
    """The import cannot begin. The message says why."""


class SourceProblem(Exception):
    """A source cannot be read. `code`: stable, for programs. `str(error)`: a message for people.

    `outcome`: REFUSED or FAILED. `retryable`: it may be readable in a moment, but not before `retry_after` seconds.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        outcome: Outcome = Outcome.FAILED,
        retryable: bool = False,
        retry_after: float = 0,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.outcome = outcome
        self.retryable = retryable
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Source:
    """One source of an image.

    `name`: as it is reported. `identity`: names the upload that is made of it. `fields`: of the upload, by name.
    `line`: of the CSV. `size`: bytes, if the listing says it.

    `open`: yields a local file with the bytes during the block. Raises SourceProblem, TooLarge or Unavailable.
    """

    name: str
    identity: str
    open: Callable[[], AbstractAsyncContextManager[Path]]
    fields: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry of the listing that cannot be a source. `code` and `detail` as in SourceProblem."""

    name: str
    outcome: Outcome
    code: str
    detail: str
    line: int | None = None


Entry = Source | LeftOut


class SourceList(Protocol):
    """A list of sources, read as a stream."""

    async def count(self) -> int:
        """Returns how many items `entries` yields, unless they change meanwhile. Raises what `entries` raises."""

    def entries(self) -> AsyncGenerator[Entry]:
        """Yields each entry, in no particular order. Raises InvalidSource or StoreUnavailable."""


async def in_thread(items: Generator[T]) -> AsyncGenerator[T]:
    """Yields the items of a blocking generator, which runs in a thread. Holds some hundred of them in memory."""
    with closing(items):
        while batch := await anyio.to_thread.run_sync(lambda: [*islice(items, _BATCH)]):
            for item in batch:
                yield item


def local_file(path: str) -> Callable[[], AbstractAsyncContextManager[Path]]:
    """Returns `Source.open` for a file of this machine."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Path]:
        yield Path(path)

    return opened


async def read_file(path: Path, max_bytes: int) -> AsyncGenerator[bytes]:
    """Yields the bytes of a regular file. Raises SourceProblem, and TooLarge beyond `max_bytes`."""
    seen = 0
    try:
        descriptor = await anyio.to_thread.run_sync(_open, path)
        async with await anyio.open_file(descriptor, "rb") as file:
            while chunk := await file.read(_CHUNK):
                seen += len(chunk)
                if seen > max_bytes:
                    raise too_large(max_bytes)
                yield chunk
    except (OSError, ValueError) as error:  # ValueError: a path with U+0000
        raise unreadable(error) from error


def _open(path: Path) -> int:
    """Opens a regular file. Does not wait for the writer of a pipe, and does not follow a symbolic link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceProblem("special_file", "It is not a regular file.", outcome=Outcome.REFUSED)
    return descriptor


def unreadable(error: OSError | ValueError) -> SourceProblem:
    """Returns the problem of a file that could not be opened or read."""
    reason = getattr(error, "strerror", None) or str(error)
    return SourceProblem("unreadable", f"The file cannot be read: {reason}.")
