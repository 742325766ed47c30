"""What a picture's file says of itself at its beginning, read in bounded time.

For the parent of the render processes. Pillow's own parsers loop over hostile files for seconds and hold the
interpreter meanwhile; this reader seeks from marker to marker, follows only so many of them, and decodes nothing. What
it cannot make sense of may still be a picture: judging that is the render process's business. Only a flood of markers
is refused here, for Pillow would follow it for longer than any deadline.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from proxy.errors import Undecodable

MAX_STEPS = 500
"""Markers or chunks before the pixels. Cameras write some tens; five hundred full ones in a JPEG are 32 MB. EXIF of as
many parts takes Pillow a second to join, of twice as many four."""

_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}
_LOSSLESS_OR_HIERARCHICAL = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a body
_START_OF_SCAN, _END = 0xDA, 0xD9
_PNG_COLORS = {0: "grey", 2: "rgb", 3: "palette", 4: "grey alpha", 6: "alpha"}
_WEBP_ALPHA, _WEBP_ANIMATION = 0x10, 0x02


@dataclass(frozen=True, slots=True)
class Header:
    """`kind` is what decides how it is decoded (see `cost.PILLOW`), sides are pixels as stored.

    `coefficients`: bytes that a JPEG decoder keeps of the whole picture, where its scans must be put together.
    `interlaced`: a PNG's, whose rows are only known at its end.
    """

    kind: str
    width: int
    height: int
    coefficients: int = 0
    interlaced: bool = False

    @property
    def alpha(self) -> bool:
        """Whether its pixels have, or may have, an alpha channel once decoded."""
        return self.kind.endswith(("key", "alpha", "alpha16"))


class _OddError(Exception):
    """Not what this format's files look like."""


def read_header(path: Path) -> Header | None:
    """None for what is no JPEG, PNG or WebP, or an odd one. Reads the file: not for the event loop.

    Raises Undecodable for more than `MAX_STEPS` markers or chunks before the pixels.
    """
    try:
        with path.open("rb") as file:
            head = file.read(30)
            if head.startswith(b"\xff\xd8\xff"):
                return _jpeg(file)
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                return _png(file)
            if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                return _webp(file, head)
    except (OSError, ValueError, LookupError, struct.error, _OddError):
        pass
    return None


def _jpeg(file: BinaryIO) -> Header:
    """From marker to marker until the first scan begins."""
    file.seek(2)
    frame: tuple[int, bytes] | None = None
    for _ in range(MAX_STEPS):
        first, marker = file.read(2)
        if first != 0xFF:
            break
        if marker == 0xFF:  # a fill byte
            file.seek(-1, 1)
        elif marker not in _ALONE:
            (length,) = struct.unpack(">H", file.read(2))
            if length < 2:
                break
            if marker == _START_OF_SCAN and frame:
                return _jpeg_header(*frame, channels_in_scan=file.read(1)[0])
            if marker in _SEQUENTIAL | _PROGRESSIVE and frame is None:
                frame = marker, file.read(length - 2)
            elif marker in {_START_OF_SCAN, _END, 0} | _LOSSLESS_OR_HIERARCHICAL | _SEQUENTIAL | _PROGRESSIVE:
                break
            else:
                file.seek(length - 2, 1)
    else:
        raise _flood()
    raise _OddError


def _jpeg_header(marker: int, frame: bytes, *, channels_in_scan: int) -> Header:
    height, width, channels = struct.unpack(">xHHB", frame[:6])
    factors = [(frame[index] >> 4, frame[index] & 15) for index in range(7, 7 + 3 * channels, 3)]
    if not width or not height or not all(across and down for across, down in factors):
        raise _OddError
    most_across, most_down = max(across for across, _ in factors), max(down for _, down in factors)
    columns, rows = -(-width // (8 * most_across)), -(-height // (8 * most_down))
    blocks = columns * rows * sum(across * down for across, down in factors)
    whole = marker in _PROGRESSIVE or channels_in_scan < channels
    return Header("jpeg grey" if channels == 1 else "jpeg", width, height, coefficients=128 * blocks if whole else 0)


def _png(file: BinaryIO) -> Header:
    """The header at its fixed place; then from chunk to chunk until the pixels begin, for a transparent colour."""
    file.seek(8)
    length, name, width, height, depth, color, interlaced = struct.unpack(">I4sIIBBxxB", file.read(21))
    if length != 13 or name != b"IHDR" or not width or not height:
        raise _OddError
    kind = "png " + _PNG_COLORS[color]
    if depth == 16:
        kind += "16"
    elif kind == "png grey" and depth == 1:
        kind = "png bitmap"
    file.seek(8 + 12 + length)
    key = ""
    for _ in range(MAX_STEPS):
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"IDAT":
            return Header(kind + key, width, height, interlaced=interlaced > 0)
        if name == b"IHDR":
            break
        if name == b"tRNS" and color in (0, 2, 3):
            key = " key"
        file.seek(length + 4, 1)
    else:
        raise _flood()
    raise _OddError


def _webp(file: BinaryIO, head: bytes) -> Header:
    """All three kinds have their sides at fixed places: one frame lossy, one frame lossless, and the rest."""
    match head[12:16]:
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", head[26:30])
            header = Header("webp lossy", width & 0x3FFF, height & 0x3FFF)
        case b"VP8L" if head[20] == 0x2F:
            (bits,) = struct.unpack("<I", head[21:25])
            kind = "webp lossless alpha" if bits >> 28 & 1 else "webp lossless"
            header = Header(kind, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X" if len(head) == 30:
            width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
            header = Header(_extended_webp(file, head[20]), width, height)
        case _:
            raise _OddError
    if not header.width or not header.height:
        raise _OddError
    return header


def _extended_webp(file: BinaryIO, flags: int) -> str:
    """The kind, from the chunk that has the pixels."""
    alpha = " alpha" if flags & _WEBP_ALPHA else ""
    if flags & _WEBP_ANIMATION:
        return "webp animated" + alpha
    file.seek(30)
    for _ in range(MAX_STEPS):
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"VP8 ":
            return "webp lossy" + alpha
        if name == b"VP8L":
            return "webp lossless" + alpha
        if name == b"ALPH":
            alpha = " alpha"
        file.seek(length + length % 2, 1)
    raise _flood()


def _flood() -> Undecodable:
    return Undecodable(f"The file has more than {MAX_STEPS} markers or chunks before its pixels. Export it again.")
