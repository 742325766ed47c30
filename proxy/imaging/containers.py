"""Lists the parts of a file: segments of JPEG, chunks of PNG and WebP, blocks of GIF, boxes of AVIF and HEIC.

The functions read only the heads of parts, and stop after a given number of them, so hostile files cannot
keep them busy. At the end of a truncated file or at invalid data they stop without an error: whether the file can be
used is for the decoder to say.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from proxy.model import SourceFormat

START_OF_SCAN = b"\xda"
_END_OF_IMAGE = b"\xff\xd9"
_WITHOUT_BODY = {0x00, 0x01, *range(0xD0, 0xD9)}  # 0x00: an escaped 0xFF of skipped data
_MAX_JUNK = 1 << 16  # bytes that are skipped in one step
_PNG_CHECKSUM = 4  # bytes
_BLOCKS_PER_PART = 8

MAX_CHUNKS = 20_000
"""Chunks in a PNG. Encoders make them of 8 KiB and more, so 10 MB are 1,300; Pillow reads a million empty ones for
seconds."""


class Part(NamedTuple):
    """A segment, chunk, block or box.

    `kind`: for JPEG the second byte of the marker, for GIF a comma for an image and else the byte after the exclamation
    mark; four letters for the others. `start`: position of its body in the file, in bytes. `length`: bytes of the body
    according to the file, which may be wrong; a GIF's image has only its descriptor as body, an
    extension only its first block.
    """

    kind: bytes
    start: int
    length: int


class TooManyParts(Exception):
    """The file has more parts than the caller allows."""


SNIFFED = 64
"""Bytes that `sniff` needs: AVIF and HEIC list their brands in them. Other formats are announced by 12."""

_MAGIC = {
    b"\xff\xd8\xff": SourceFormat.JPEG,
    b"\x89PNG\r\n\x1a\n": SourceFormat.PNG,
    b"GIF87a": SourceFormat.GIF,
    b"GIF89a": SourceFormat.GIF,
    b"II*\0": SourceFormat.TIFF,
    b"MM\0*": SourceFormat.TIFF,
}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), SourceFormat.AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), SourceFormat.HEIC),
}


def sniff(head: bytes) -> SourceFormat | None:
    """Returns the format that a file's first `SNIFFED` bytes announce; None for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return SourceFormat.WEBP
    if head[4:8] == b"ftyp":  # the major brand, its version, and compatible brands
        end = min(int.from_bytes(head[:4]), len(head))
        brands = [head[at : at + 4] for at in (8, *range(16, end, 4))]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return next((format for magic, format in _MAGIC.items() if head.startswith(magic)), None)


def jpeg_segments(file: BinaryIO, most: int, start: int = 0) -> Iterator[Part]:
    """Yields the segments of the image that begins at `start`, to the header of its first scan, inclusive.

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


def gif_blocks(file: BinaryIO, most: int) -> Iterator[Part]:
    """Yields extensions and images. Raises TooManyParts after `most` blocks of their data.

    Finding an extension or image takes as long as reading 8 blocks of data, so each counts as 8 more.
    """
    screen = _read(file, 0, 13)
    if len(screen) < 13:
        return
    position, followed = 13 + _color_table_bytes(screen[10]), 0
    while len(head := _read(file, position, 10)) > 1 and head[:1] in (b"!", b","):
        if head[:1] == b",":
            yield Part(b",", position + 1, 9)
            data = position + 11 + (_color_table_bytes(head[9]) if len(head) == 10 else 0)
        else:
            yield Part(head[1:2], position + 2, 1 + head[2] if len(head) > 2 else 0)
            data = position + 2
        file.seek(data)
        followed += _BLOCKS_PER_PART
        while length := file.read(1):
            if followed >= most:
                raise TooManyParts
            followed += 1
            data += 1 + length[0]
            if not length[0]:
                break
            file.seek(length[0], 1)
        else:
            return
        position = data


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def boxes(file: BinaryIO, most: int, start: int = 0, end: int | None = None) -> Iterator[Part]:
    """Yields the boxes from `start` to `end` of ISO's base media format. Raises TooManyParts for more than `most`."""
    for _ in range(most):
        head = _read(file, start, 16)
        if len(head) < 8 or (end is not None and start >= end):
            return
        length, begins = int.from_bytes(head[:4]), 8
        if length == 1 and len(head) == 16:
            length, begins = int.from_bytes(head[8:]), 16
        elif length == 0:  # to the end of the file
            length = (end if end is not None else file.seek(0, 2)) - start
        if length < begins:
            return
        yield Part(head[4:8], start + begins, length - begins)
        start += length
    raise TooManyParts


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
    if position > sys.maxsize:  # as a file may state; not every reader can seek there
        return b""
    file.seek(position)
    return file.read(length)
