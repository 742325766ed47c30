"""Walks the segments of a JPEG and the chunks of a PNG or WebP, in bounded time and without reading their bodies.

Everything that reads a file's structure uses these walkers. They end without an error where the structure does:
decoders judge damaged files.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

START_OF_SCAN = b"\xda"
_END_OF_IMAGE = 0xD9
_WITHOUT_BODY = {0x01, *range(0xD0, 0xD9)}


class Part(NamedTuple):
    """A JPEG segment, whose `kind` is its marker's second byte, or a chunk, whose `kind` has four letters.

    `start` and `length` are those of its body in the file, in bytes. The length is what the file says.
    """

    kind: bytes
    start: int
    length: int


class TooManyParts(Exception):
    """The file has more parts than the caller is willing to follow."""


def jpeg_segments(file: BinaryIO, most: int) -> Iterator[Part]:
    """Yields the segments up to the first scan's header, which is the last. Raises TooManyParts for more than `most`.

    Fill bytes and markers without a body count towards `most`, too.
    """
    position, followed = 2, 0
    while True:
        file.seek(position)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0, _END_OF_IMAGE):
            return
        if followed == most:
            raise TooManyParts
        followed += 1
        if head[1] == 0xFF:  # a fill byte
            position += 1
        elif head[1] in _WITHOUT_BODY:
            position += 2
        else:
            length = int.from_bytes(head[2:])
            if length < 2:
                return
            yield Part(head[1:2], position + 4, length - 2)
            if head[1:2] == START_OF_SCAN:
                return
            position += 2 + length


def png_chunks(file: BinaryIO, most: int) -> Iterator[Part]:
    """Yields all chunks. Raises TooManyParts for more than `most`."""
    position, followed = 8, 0
    while len(head := _read(file, position, 8)) == 8:
        if followed == most:
            raise TooManyParts
        followed += 1
        length = int.from_bytes(head[:4])
        yield Part(head[4:], position + 8, length)
        position += 12 + length  # four bytes of checksum


def webp_chunks(file: BinaryIO, most: int) -> Iterator[Part]:
    """Yields all chunks. Raises TooManyParts for more than `most`."""
    position, followed = 12, 0
    while len(head := _read(file, position, 8)) == 8:
        if followed == most:
            raise TooManyParts
        followed += 1
        length = int.from_bytes(head[4:], "little")
        yield Part(head[:4], position + 8, length)
        position += 8 + length + length % 2


def read_body(file: BinaryIO, part: Part, most: int) -> bytes:
    """Returns the first `most` bytes of the body, or fewer where it or the file ends."""
    return _read(file, part.start, min(part.length, most))


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)
