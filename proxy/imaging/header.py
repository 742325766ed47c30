"""Reads kind and size of an original in bounded time, without decoding.

The server uses it for memory estimates: Pillow's parsers may loop over hostile files for seconds, holding the GIL. This
reader follows at most `MAX_MARKERS` markers or chunks. It returns None for a file that it does not
understand, which the render worker then judges. It refuses only too many markers, which would keep Pillow busy past any
deadline, and kinds of TIFF that are not decoded.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from proxy.errors import Undecodable
from proxy.imaging.containers import (
    SNIFFED,
    START_OF_SCAN,
    TooManyParts,
    gif_blocks,
    jpeg_segments,
    png_chunks,
    read_body,
    sniff,
    webp_chunks,
)
from proxy.imaging.heif import read_heif
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.tiff import TiffDirectory
from proxy.model import SourceFormat

MAX_MARKERS = 500
"""Markers or chunks before the pixels. Cameras write some tens; 500 full JPEG segments are 32 MB. Pillow joins EXIF of
500 segments in one second, and of 1000 in four."""

MAX_GIF_BLOCKS = 5000
"""Blocks of 255 bytes before a GIF's first image: comments, profiles, XMP."""

_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}
_LOSSLESS_OR_HIERARCHICAL = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_MAX_FRAME_HEADER = 6 + 3 * 255  # bytes: three for each channel, of which there are at most 255
_PNG_COLORS = {0: "grey", 2: "rgb", 3: "palette", 4: "grey alpha", 6: "alpha"}
_DEEP_PLANES = 4  # bytes a pixel: another byte for each sample
_WEBP_ALPHA, _WEBP_ANIMATION = 0x10, 0x02


MAX_WHOLE_PIXELS = 25_000_000
"""Pixels of the largest lossy WebP with alpha that is decoded whole: 450 MB, and 0.7 s of processor time."""


@dataclass(frozen=True, slots=True)
class Header:
    """`kind` decides how the file is decoded (see `memory_estimate.PILLOW`); sides are pixels in stored orientation.

    `coefficient_bytes`: what a JPEG decoder holds for the whole image, if it has several scans to combine.
    `extra_bytes`: what a TIFF decoder holds for a strip, what a GIF's partial frame adds, or what more than 8 bits add
    in AVIF and HEIC. `interlaced`: a PNG whose rows are complete only at its end.
    """

    kind: str
    width: int
    height: int
    coefficient_bytes: int = 0
    interlaced: bool = False
    extra_bytes: int = 0

    @property
    def has_alpha(self) -> bool:
        """Whether the decoded pixels have, or may have, an alpha channel."""
        return self.kind.endswith(("key", "alpha", "alpha16"))

    @property
    def is_scaled_cheaply(self) -> bool:
        """Whether decoding at a reduced scale takes much less time, as for a JPEG of a single scan."""
        return self.kind.startswith("jpeg") and not self.coefficient_bytes

    @property
    def is_decoded_whole(self) -> bool:
        """Whether libvips decodes this WebP whole and averages premultiplied pixels.

        libwebp can scale while it decodes, but does not premultiply lossy images: hidden black would darken their
        edges. Whole images need 18 bytes a pixel, so libwebp still scales those of more than `MAX_WHOLE_PIXELS`.
        """
        return self.kind == "webp lossy alpha" and self.width * self.height <= MAX_WHOLE_PIXELS


_RARE_JPEG = {
    **dict.fromkeys((0xC3, 0xCB), "Lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "Hierarchical"),
}


class _UnexpectedStructureError(Exception):
    pass


def read_header(path: OriginalFile) -> Header | None:
    """Returns the header; None for an unknown format or an unexpected structure. Blocks on file I/O.

    Raises Undecodable for more than `MAX_MARKERS` markers or chunks before the pixels, and for rare kinds of TIFF.
    """
    try:
        with path.open("rb") as file:
            format = sniff(file.read(SNIFFED))
            return _READERS[format](file) if format else None
    except TooManyParts:
        raise Undecodable(
            f"The file has more than {MAX_MARKERS} markers or chunks before its pixels. Export it again."
        ) from None
    except (OSError, ValueError, LookupError, struct.error, _UnexpectedStructureError):
        pass
    return None


def stated_sides(path: OriginalFile) -> tuple[int, int]:
    """Returns the width and height that a file states, also if what follows is damaged; (0, 0) if it states none."""
    with suppress(Undecodable):
        if header := read_header(path):
            return header.width, header.height
    with path.open("rb") as file:
        head = file.read(SNIFFED)
    match sniff(head):
        case SourceFormat.PNG if (at := head.find(b"IHDR")) > 0:  # the first chunk, or Apple's second one
            return int.from_bytes(head[at + 4 : at + 8]), int.from_bytes(head[at + 8 : at + 12])
        case SourceFormat.GIF if len(head) >= 10:
            return struct.unpack("<HH", head[6:10])
        case SourceFormat.WEBP if head[12:16] == b"VP8X" and len(head) >= 30:
            return _canvas(head)
        case _:
            return 0, 0


def _canvas(head: bytes) -> tuple[int, int]:
    """Returns the sides that an extended WebP states in its first 30 bytes."""
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    return width, height


def unsupported_kind(path: OriginalFile) -> str | None:
    """Names a kind of JPEG that decoders do not support, such as `12-bit JPEG`. Returns None for all other files."""
    with path.open("rb") as file, suppress(TooManyParts, OSError, IndexError):
        if sniff(file.read(SNIFFED)) is not SourceFormat.JPEG:
            return None
        for segment in jpeg_segments(file, MAX_MARKERS):
            marker = segment.kind[0]
            if marker in _SEQUENTIAL | _PROGRESSIVE | _LOSSLESS_OR_HIERARCHICAL:
                precision, *height = read_body(file, segment, 3)
                if not any(height):
                    return "JPEG whose height follows its pixels (DNL)"
                depth = "" if precision == 8 else f"{precision}-bit "
                kind = _RARE_JPEG.get(marker)
                return f"{kind} {depth}JPEG" if kind else f"{depth}JPEG" if depth else None
    return None


def _jpeg(file: BinaryIO) -> Header:
    """Finds the frame's header and the first scan's."""
    frame: tuple[int, bytes] | None = None
    for segment in jpeg_segments(file, MAX_MARKERS):
        marker = segment.kind[0]
        if segment.kind == START_OF_SCAN and frame:
            return _jpeg_header(*frame, channels_in_scan=read_body(file, segment, 1)[0])
        if marker in _SEQUENTIAL | _PROGRESSIVE and frame is None:
            frame = marker, read_body(file, segment, _MAX_FRAME_HEADER)
        elif marker in _LOSSLESS_OR_HIERARCHICAL | _SEQUENTIAL | _PROGRESSIVE:
            break
    raise _UnexpectedStructureError


def _jpeg_header(marker: int, frame: bytes, *, channels_in_scan: int) -> Header:
    height, width, channels = struct.unpack(">xHHB", frame[:6])
    factors = [(frame[index] >> 4, frame[index] & 15) for index in range(7, 7 + 3 * channels, 3)]
    if not width or not height or not all(across and down for across, down in factors):
        raise _UnexpectedStructureError
    most_across, most_down = max(across for across, _ in factors), max(down for _, down in factors)
    columns, rows = -(-width // (8 * most_across)), -(-height // (8 * most_down))
    blocks = columns * rows * sum(across * down for across, down in factors)
    whole = marker in _PROGRESSIVE or channels_in_scan < channels
    kind = "jpeg grey" if channels == 1 else "jpeg"
    return Header(kind, width, height, coefficient_bytes=128 * blocks if whole else 0)


def _png(file: BinaryIO) -> Header:
    """Reads the header, then looks for a transparent colour in the chunks before the pixels."""
    file.seek(8)
    length, name, width, height, depth, color, interlaced = struct.unpack(">I4sIIBBxxB", file.read(21))
    if length != 13 or name != b"IHDR" or not width or not height:
        raise _UnexpectedStructureError
    kind = "png " + _PNG_COLORS[color]
    if depth == 16:
        kind += "16"
    elif kind == "png grey" and depth == 1:
        kind = "png bitmap"
    key = ""
    for chunk in islice(png_chunks(file, MAX_MARKERS), 1, None):
        if chunk.kind == b"IDAT":
            return Header(kind + key, width, height, interlaced=interlaced > 0)
        if chunk.kind == b"IHDR":
            break
        if chunk.kind == b"tRNS" and color in (0, 2, 3):
            key = " key"
    raise _UnexpectedStructureError


def _webp(file: BinaryIO) -> Header:
    """Reads the sides at their fixed places in simple lossy, simple lossless and extended files."""
    file.seek(0)
    head = file.read(30)
    match head[12:16]:
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", head[26:30])
            header = Header("webp lossy", width & 0x3FFF, height & 0x3FFF)
        case b"VP8L" if head[20] == 0x2F:
            (bits,) = struct.unpack("<I", head[21:25])
            kind = "webp lossless alpha" if bits >> 28 & 1 else "webp lossless"
            header = Header(kind, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X" if len(head) == 30:
            header = Header(_extended_webp(file, head[20]), *_canvas(head))
        case _:
            raise _UnexpectedStructureError
    if not header.width or not header.height:
        raise _UnexpectedStructureError
    return header


def _extended_webp(file: BinaryIO, flags: int) -> str:
    """Finds the kind by the chunk that holds the pixels."""
    alpha = " alpha" if flags & _WEBP_ALPHA else ""
    if flags & _WEBP_ANIMATION:
        return "webp animated" + alpha
    for chunk in webp_chunks(file, MAX_MARKERS):
        if chunk.kind == b"VP8 ":
            return "webp lossy" + alpha
        if chunk.kind == b"VP8L":
            return "webp lossless" + alpha
        if chunk.kind == b"ALPH":
            alpha = " alpha"
    raise _UnexpectedStructureError


def _gif(file: BinaryIO) -> Header:
    """Reads the sides of the canvas, or the larger ones that its first image needs."""
    file.seek(6)
    width, height = struct.unpack("<HH", file.read(4))
    for block in gif_blocks(file, MAX_GIF_BLOCKS):
        if block.kind == b",":
            left, top, across, down = struct.unpack("<4H", read_body(file, block, 8))
            width, height = max(width, left + across), max(height, top + down)
            partial = (left, top, across, down) != (0, 0, width, height)
            return Header("gif key", width, height, extra_bytes=(8 * width * height if partial else 0))
    raise _UnexpectedStructureError


def _tiff(file: BinaryIO) -> Header:
    image = TiffDirectory(file).image()
    kind = f"tiff {'alpha' if image.alpha else image.color}{16 if image.depth > 8 else ''}"
    return Header(kind, image.width, image.height, extra_bytes=image.strip)


def _avif(file: BinaryIO) -> Header:
    return _heif(file, "avif")


def _heic(file: BinaryIO) -> Header:
    return _heif(file, "heic")


def _heif(file: BinaryIO, kind: str) -> Header:
    image = read_heif(file)
    if not image.width or not image.height:
        raise _UnexpectedStructureError
    deep = _DEEP_PLANES * image.width * image.height if image.depth > 8 else 0
    return Header(f"{kind} alpha" if image.alpha else kind, image.width, image.height, extra_bytes=deep)


_READERS: dict[SourceFormat, Callable[[BinaryIO], Header]] = {
    SourceFormat.JPEG: _jpeg,
    SourceFormat.PNG: _png,
    SourceFormat.WEBP: _webp,
    SourceFormat.AVIF: _avif,
    SourceFormat.GIF: _gif,
    SourceFormat.TIFF: _tiff,
    SourceFormat.HEIC: _heic,
}
