"""Lists the segments of a JPEG file and the chunks of a PNG or WebP file: the kind, place and length of each.

The functions read only the heads of segments and chunks, and stop after a given number of them, so hostile files cannot
keep them busy. At the end of a truncated file or at invalid data they stop without an error: whether the file can be
used is for the decoder to say.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

START_OF_SCAN = b"\xda"
_END_OF_IMAGE = b"\xff\xd9"
_WITHOUT_BODY = {0x00, 0x01, *range(0xD0, 0xD9)}  # 0x00: an escaped 0xFF of skipped data
_MAX_JUNK = 1 << 16  # bytes that are skipped in one step
_PNG_CHECKSUM = 4  # bytes

MAX_CHUNKS = 20_000
"""Chunks in a PNG. Encoders make them of 8 KiB and more, so 10 MB are 1,300; Pillow reads a million empty ones for
seconds."""


class Part(NamedTuple):
    """A segment or chunk.

    `kind`: for JPEG the second byte of the marker, for PNG and WebP the chunk's four letters. `start`: position of its
    body in the file, in bytes. `length`: bytes of the body according to the file, which may be wrong.
    """

    kind: bytes
    start: int
    length: int


class TooManyParts(Exception):
    """The file has more parts than the caller allows."""


def sniff(head: bytes) -> str | None:
    """Returns the extension (`jpg`, `png`, `webp`) that a file's first 12 bytes announce; None for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


def jpeg_segments(file: BinaryIO, most: int, start: int = 0) -> Iterator[Part]:
    """Yields the segments from the picture at `start` to the header of its first scan, inclusive.

    Skips bytes between segments, as decoders do. Raises TooManyParts after `most` steps: segments, fill bytes, markers
    without a body, and skipped pieces of up to 64 KiB count as one step each.
    """
    position, followed = start + 2, 0
    while len(head := _read(file, position, 4)) == 4 and head[:2] != _END_OF_IMAGE:
        if followed == most:
            raise TooManyParts
        followed += 1
        length = int.from_bytes(head[2:])
        if head[0] != 0xFF:
            junk = _read(file, position, _MAX_JUNK)
            position += junk.index(0xFF) if 0xFF in junk else len(junk)
        elif head[1] == 0xFF:  # a fill byte
            position += 1
        elif head[1] in _WITHOUT_BODY:
            position += 2
        elif length < 2:
            return
        else:
            yield Part(head[1:2], position + 4, length - 2)
            if head[1:2] == START_OF_SCAN:
                return
            position += 2 + length


def png_chunks(file: BinaryIO, most: int) -> Iterator[Part]:
    """Yields all chunks. Raises TooManyParts for more than `most`."""
    return _chunks(file, 8, most, lambda head: (head[4:], int.from_bytes(head[:4])), lambda _length: _PNG_CHECKSUM)


def webp_chunks(file: BinaryIO, most: int) -> Iterator[Part]:
    """Yields all chunks. Raises TooManyParts for more than `most`."""
    return _chunks(
        file, 12, most, lambda head: (head[:4], int.from_bytes(head[4:], "little")), lambda length: length % 2
    )


def _chunks(
    file: BinaryIO,
    position: int,
    most: int,
    parse: Callable[[bytes], tuple[bytes, int]],
    trailer: Callable[[int], int],
) -> Iterator[Part]:
    """Yields chunks that have a head of 8 bytes, a body, and `trailer(length)` bytes after the body."""
    followed = 0
    while len(head := _read(file, position, 8)) == 8:
        if followed == most:
            raise TooManyParts
        followed += 1
        kind, length = parse(head)
        yield Part(kind, position + 8, length)
        position += 8 + length + trailer(length)


def read_body(file: BinaryIO, part: Part, most: int) -> bytes:
    """Returns the first `most` bytes of the body, or fewer where it or the file ends."""
    return _read(file, part.start, min(part.length, most))


def is_sound(file: BinaryIO, chunk: Part) -> bool:
    """Whether a PNG's chunk is whole, and has the checksum that the file states."""
    checked = _read(file, chunk.start - 4, chunk.length + 4 + _PNG_CHECKSUM)
    return zlib.crc32(checked[:-4]) == int.from_bytes(checked[-4:]) and len(checked) == chunk.length + 8


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)
