"""The frames of an animated PNG (Portable Network Graphics, third edition, 11.3.6)."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import BinaryIO

from proxy.errors import Undecodable
from proxy.imaging.animation.composition import Dispose, Patch
from proxy.imaging.containers import MAX_CHUNKS, Part, TooManyParts, is_sound, png_chunks, read_body
from proxy.imaging.decode import decode_frame
from proxy.imaging.original_file import FileInMemory, OriginalFile
from proxy.imaging.png_pixels import TRUNCATED
from proxy.imaging.profile import read_profile

_DISPOSE = (Dispose.KEEP, Dispose.CLEAR, Dispose.RESTORE)
_COLORS, _PIXELS = (b"PLTE", b"tRNS"), (b"IDAT", b"fdAT")
_MAX_COLORS = 3 * 256  # bytes of PLTE; tRNS has fewer
_CONTROL = struct.Struct(">IIIIHHBB")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(slots=True)
class _Frame:
    """A frame's `control` (the body of fcTL, without its number) and compressed `pixels`.

    `header` and `colors`: the body of the file's IHDR, and its PLTE and tRNS, which all frames share.
    """

    header: bytes
    colors: list[bytes]
    control: bytes
    pixels: list[bytes]

    def as_png(self, width: int, height: int) -> FileInMemory:
        chunks = [
            _chunk(b"IHDR", struct.pack(">II", width, height) + self.header[8:]),
            *self.colors,
            *(_chunk(b"IDAT", data) for data in self.pixels),
            _chunk(b"IEND", b""),
        ]
        return FileInMemory(_SIGNATURE + b"".join(chunks))


def png_loops(path: OriginalFile) -> int:
    """Returns how often an animated PNG is played, 0 for ever."""
    with path.open("rb") as file, suppress(TooManyParts):
        for chunk in png_chunks(file, MAX_CHUNKS):
            if chunk.kind == b"acTL":
                return int.from_bytes(read_body(file, chunk, 8)[4:])
    return 0


def png_patches(path: OriginalFile, size: tuple[int, int]) -> Iterator[Patch]:
    """Yields what each frame of the animated PNG at `path` draws. `size`: its canvas in pixels.

    Raises Undecodable at the first frame that is damaged, empty or not within the canvas; TooHeavy.
    """
    profile = read_profile(path)
    with path.open("rb") as file, suppress(TooManyParts):
        for frame in _frames(file):
            if len(frame.control) < _CONTROL.size:
                raise Undecodable(TRUNCATED)
            width, height, left, top, delay, parts, dispose, blend = _CONTROL.unpack_from(frame.control)
            is_inside = left + width <= size[0] and top + height <= size[1]
            if not width or not height or not is_inside or dispose >= len(_DISPOSE) or blend > 1:
                raise Undecodable(TRUNCATED)
            pixels = decode_frame(frame.as_png(width, height), profile)
            milliseconds = Fraction(1000 * delay, parts or 100)
            yield Patch(pixels, (left, top), milliseconds, _DISPOSE[dispose], blends=blend == 1)


def _frames(file: BinaryIO) -> Iterator[_Frame]:
    """Yields at most as many frames as are announced. The still image is the first if an fcTL precedes it."""
    header, colors, left = b"", list[bytes](), 0
    frame: _Frame | None = None
    numbers = count()
    for chunk in png_chunks(file, MAX_CHUNKS):
        kind = chunk.kind
        if kind == b"IHDR":
            header = read_body(file, chunk, 13)
        elif kind in _COLORS:
            colors.append(_read_colors(file, chunk, len(colors)))
        elif kind == b"acTL":
            left = int.from_bytes(read_body(file, chunk, 4))
        elif kind == b"fcTL":
            if frame:
                yield frame
            if not left:
                return
            left -= 1
            frame = _Frame(header, colors, _numbered(file, chunk, next(numbers)), [])
        elif frame and kind in _PIXELS:
            frame.pixels.append(_sound(file, chunk) if kind == b"IDAT" else _numbered(file, chunk, next(numbers)))
    if frame:
        yield frame


def _read_colors(file: BinaryIO, chunk: Part, count: int) -> bytes:
    """Returns a PLTE or tRNS, which every frame repeats. `count`: how many there were before."""
    if chunk.length > _MAX_COLORS or count == len(_COLORS):
        raise Undecodable(TRUNCATED)
    return _chunk(chunk.kind, read_body(file, chunk, chunk.length))


def _numbered(file: BinaryIO, chunk: Part, number: int) -> bytes:
    """Returns a chunk's body without its sequence number. Raises Undecodable unless that is `number`."""
    body = _sound(file, chunk)
    if body[:4] != number.to_bytes(4):
        raise Undecodable(TRUNCATED)
    return body[4:]


def _sound(file: BinaryIO, chunk: Part) -> bytes:
    if not is_sound(file, chunk):
        raise Undecodable(TRUNCATED)
    return read_body(file, chunk, chunk.length)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)
