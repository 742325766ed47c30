"""Saves the file of an upload while it arrives, and refuses other formats by its first bytes."""

import hashlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path

import anyio

from ingest.ingest_errors import MissingImage
from proxy.errors import Unavailable, UnsupportedFormat
from proxy.imaging.containers import SNIFFED, sniff
from proxy.model import SourceFormat, list_labels

_WRITE_BYTES = 256 * 1024  # buffered for each write, because each write switches to a thread


async def read_head(chunks: AsyncIterator[bytes], accept: Collection[SourceFormat]) -> bytes:
    """Returns the first bytes of a file of an accepted format. Raises MissingImage or UnsupportedFormat."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= SNIFFED:
            break
    wanted = f"Send a {list_labels(accept)} image."
    if not head:
        raise MissingImage(f"The file is empty. {wanted}")
    format = sniff(bytes(head[:SNIFFED]))
    if format not in accept:
        known = f"This server does not accept {format.label}. " if format else ""
        raise UnsupportedFormat(known + wanted)
    return bytes(head)


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of an upload. `sha256` is hexadecimal, `size` is bytes."""

    path: Path
    sha256: str
    size: int


async def save(path: Path, head: bytes, chunks: AsyncIterator[bytes]) -> SavedFile:
    """Writes the file to `path`, whose folder it creates. Raises Unavailable."""
    buffer, sha256, size = bytearray(head), hashlib.sha256(), 0
    try:
        await anyio.Path(path.parent).mkdir(parents=True)
        async with await anyio.open_file(path, "xb") as file:

            async def flush() -> int:
                sha256.update(buffer)
                written = await file.write(bytes(buffer))
                buffer.clear()
                return written

            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= _WRITE_BYTES:
                    size += await flush()
            size += await flush()
    except OSError as error:
        raise Unavailable("The server cannot write temporary files. Try again later.") from error
    return SavedFile(path, sha256.hexdigest(), size)
