"""Request bodies: in chunks, complete or not, and as multipart."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

BOUNDARY = "x-darkroom-boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


async def chunks_of(data: bytes, size: int | None = None) -> AsyncIterator[bytes]:
    """Yields `data` in chunks of `size` bytes, or whole."""
    step = size or max(1, len(data))
    for start in range(0, len(data), step):
        yield data[start : start + step]


@dataclass
class Pieces:
    """A body that counts the chunks read and may end in an exception."""

    pieces: Iterable[bytes]
    end: Exception | None = None
    taken: int = 0
    taken_bytes: int = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._run()

    async def _run(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            self.taken_bytes += len(piece)
            yield piece
        if self.end:
            raise self.end


def part(disposition: str, body: bytes = b"", *headers: str) -> bytes:
    """One part of a multipart body; `disposition` is what follows `form-data; `."""
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    return "\r\n".join([f"--{BOUNDARY}", *lines, "", ""]).encode() + body + b"\r\n"


def multipart(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload_body(file: bytes, field: str = "image") -> bytes:
    return multipart(part(f'name="{field}"; filename="photo.jpg"', file, "Content-Type: image/jpeg"))
