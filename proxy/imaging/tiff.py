"""Reads the first directory of a TIFF file in bounded time, and names the kinds of TIFF that are not decoded.

Tags: TIFF 6.0 (Adobe), TIFF Technical Note 2, TIFF/EP.
"""

import struct
from dataclasses import dataclass
from math import ceil
from typing import BinaryIO

from proxy.errors import Undecodable

MAX_ENTRIES = 1000
"""Entries of a directory; scanners and cameras write some tens."""

MAX_STRIPS = 65_536
"""Strips or tiles of an image. The largest images have 10,000 rows for each of four channels, or tiles of 64 pixels."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _PLANES = 273, 277, 278, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _EXTRA, _SAMPLE_FORMAT = 322, 323, 324, 338, 339
_REDUCED, _DNG = 254, 50706
ICC, XMP, IPTC, PHOTOSHOP, C2PA = 34675, 700, 33723, 34377, 0xCD41
_NUMBERS = {1: "B", 3: "H", 4: "I", 7: "B"}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_UNCOMPRESSED = 1
_COMPRESSIONS = {_UNCOMPRESSED, 2, 3, 4, 5, 7, 8, 32773, 32946}  # none, fax, LZW, JPEG, ZIP, PackBits, ZIP
_COMPRESSION_NAMES = {
    6: "old-style JPEG",
    32809: "ThunderScan",
    34661: "JBIG",
    34676: "SGI log",
    34677: "SGI log",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
_COLORS = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb"}
_COLOR_NAMES = {4: "mask", **dict.fromkeys((8, 9, 10), "CIELab"), **dict.fromkeys((32803, 34892), "camera raw")}
_CHANNELS = {"grey": 1, "palette": 1, "rgb": 3, "cmyk": 4}


@dataclass(frozen=True, slots=True)
class TiffImage:
    """`color`: grey, rgb, palette or cmyk. `depth`: bits of a sample. `strip`: bytes of a strip or tile,
    decoded; 0 without compression.
    """

    width: int
    height: int
    color: str
    depth: int
    alpha: bool
    strip: int


class TiffDirectory:
    """The first directory of a file. Raises ValueError or struct.error if it is missing or damaged."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        head = file.read(8)
        self._order = "<" if head[:2] == b"II" else ">"
        (start,) = struct.unpack(f"{self._order}4xI", head)
        file.seek(start)
        (count,) = struct.unpack(f"{self._order}H", file.read(2))
        if count > MAX_ENTRIES:
            raise Undecodable(f"The TIFF has {count} tags; {MAX_ENTRIES} is the limit. Export it again.")
        entries = struct.iter_unpack(f"{self._order}HHI4s", file.read(12 * count))
        self._entries = {tag: (kind, length, value) for tag, kind, length, value in entries}
        self.has_next = any(file.read(4))

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def data(self, tag: int, most: int) -> bytes:
        """Returns the first `most` bytes of a tag's values; empty if the file lacks the tag."""
        kind, count, value = self._entries.get(tag, (1, 0, b""))
        size = _BYTES.get(kind, 1) * count
        if size <= 4:
            return bytes(value[:size])
        self._file.seek(struct.unpack(f"{self._order}I", value)[0])
        return self._file.read(min(size, most))

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """Returns up to 16 whole numbers of a tag."""
        kind = self._entries.get(tag, (0,))[0]
        if kind not in _NUMBERS:
            return default
        width = _BYTES[kind]
        data = self.data(tag, 16 * width)
        return struct.unpack(f"{self._order}{len(data) // width}{_NUMBERS[kind]}", data[: len(data) // width * width])

    def number(self, tag: int, default: int = 0) -> int:
        """Returns the first number of a tag; `default` if the tag is missing or has no whole numbers."""
        return next(iter(self.numbers(tag)), default)

    def image(self) -> TiffImage:
        """Describes the image. Raises Undecodable for kinds that Pillow cannot decode or that are not worth a risk."""
        width, height = self.number(_WIDTH), self.number(_HEIGHT)
        if not width or not height:
            raise ValueError("no sides")
        bits, photometric = self.numbers(_BITS, 1), self.number(_PHOTOMETRIC)
        self._refuse_rare_kinds(bits, photometric)
        color, depth, extra = _COLORS[photometric], max(bits), self.numbers(_EXTRA)
        samples = max(self.number(_SAMPLES, 1), 1)
        alpha = bool(extra) or samples > _CHANNELS[color]
        if self.number(_TILE_WIDTH):
            across, down = self.number(_TILE_WIDTH), self.number(_TILE_HEIGHT)
        else:
            across, down = width, min(height, self.number(_ROWS_PER_STRIP, height) or height)
        strips = max(self._entries.get(tag, (0, 0))[1] for tag in (_STRIP_OFFSETS, _TILE_OFFSETS))
        if strips > MAX_STRIPS:
            raise Undecodable(f"The TIFF is split into {strips} strips; {MAX_STRIPS} is the limit. Export it again.")
        in_strip = samples if self.number(_PLANES, 1) == 1 else 1
        # JPEG strips of YCbCr become four bytes a pixel. Pillow reads uncompressed strips without a buffer.
        strip = (
            0
            if self.number(_COMPRESSION, 1) == _UNCOMPRESSED
            else across * down * max(ceil(depth * in_strip / 8), 4 if photometric == 6 else 0)
        )
        return TiffImage(width, height, color, depth, alpha, strip)

    def _refuse_rare_kinds(self, bits: tuple[int, ...], photometric: int) -> None:
        compression = self.number(_COMPRESSION, 1)
        if compression not in _COMPRESSIONS:
            name = _COMPRESSION_NAMES.get(compression, f"unknown ({compression})")
            raise Undecodable(f"TIFF with {name} compression is not supported. Export it with LZW or ZIP compression.")
        if self.number(_REDUCED) & 1 or _DNG in self:
            raise Undecodable("The file is a camera's raw file, not an ordinary TIFF. Export it as JPEG.")
        if photometric not in _COLORS:
            name = _COLOR_NAMES.get(photometric, f"unknown ({photometric})")
            raise Undecodable(f"TIFF with {name} colours is not supported. Export it in RGB, grey or CMYK.")
        depth = max(bits)
        if depth not in (1, 2, 4, 8, 16) or max(self.numbers(_SAMPLE_FORMAT, 1)) > 1 or (photometric, depth) == (0, 16):
            raise Undecodable(f"TIFF of {depth} bits in this form is not supported. Export it in 8 bits.")
