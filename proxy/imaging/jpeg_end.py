"""Tells whether a JPEG has all its pixels, which its end marker does not say, and decodes one without that marker.

Some cameras leave the marker out, or write data of their own in its place; some programs add it to half a file.
Whether pixels are missing shows in attempts with different bytes behind a scan: a decoder reads them only if it needs
more.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from proxy.imaging.original_file import OriginalFile

_END = b"\xff\xd9"
_NOISE = bytes(1 + number * number * 37 % 251 for number in range(2048))
_RESTARTS = b"".join(bytes([0xFF, 0xD0 + number]) + _NOISE for number in range(8))  # whichever a decoder waits for
_TAILS = (  # no other marker; a decoder fills up with zeros before the last one
    _NOISE + _END,
    _RESTARTS + _END,
    b"\xff\x00" * 2048 + _END,
    b"\x55" * 2048 + _END,
    _END,
)
_ONES = b"\xff\0"  # a byte of a scan. No code has only ones: a decoder takes 34 of them for a block without a pixel
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not within a scan (ITU-T T.81, B.1.1.5), nor a fill byte
_FRAMES, _PROGRESSIVE, _ARITHMETIC = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}, {0xC2, 0xCA}, {0xC9, 0xCA}
_SCAN = 0xDA
_SEGMENTS = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *_FRAMES, *range(0xE0, 0xF0), _SCAN}
_MISSING = "pixels are missing"
_BAND = 64  # rows
_MAX_SEGMENTS = 5000
_MOST_CHECKED = 50_000_000  # pixels of a progressive JPEG: its check takes a second for twice as many
_LAST_ROWS = 2  # of blocks, which may be damaged: one or two rows, as colour is halved or not


def draft(image: Image.Image, size: tuple[int, int]) -> float:
    """Lets the decoder of `image` scale it, to at least `size` pixels. Returns the scale; 1 unless it is JPEG."""
    width = image.width
    drafted = image.draft(None, size)
    return 1.0 if drafted is None else drafted[1][2] / width


def decode_without_end(path: OriginalFile, size: tuple[int, int]) -> tuple[Image.Image, float]:
    """Decodes at least `size` pixels. Returns them and their scale. Raises OSError if pixels are missing or damaged."""
    file = BytesIO()
    with path.open("rb") as original:
        file.write(_whole_scans(original.read()))
    end = file.tell()
    digests = set()
    for tail in _TAILS:
        file.seek(end)
        file.truncate()
        file.write(tail)
        with Image.open(file, formats=("JPEG",)) as image:
            scale = draft(image, size)
            image.load()
        digests.add(_digest(image))
    if len(digests) > 1:
        raise OSError(_MISSING)
    return image, scale


def file_to_check(path: OriginalFile, width: int, height: int) -> BytesIO | None:
    """Returns the file with a few bytes instead of its end, so that its decoder raises if rows of pixels are missing.

    The bytes suffice for at most eight rows: a damaged bit may cost some blocks. `width` and `height`: of the image, in
    pixels.

    Returns None where this is impossible: without an end, for arithmetic coding, and for several scans, which are
    checked here up to `_MOST_CHECKED` pixels. Raises OSError if one of them lacks rows.
    """
    with path.open("rb") as original:
        data = original.read()
    scans = [*_scans(data)]
    if not scans or any(scan.frame in _ARITHMETIC for scan in scans):
        return None
    if scans[0].frame in _PROGRESSIVE or len(scans[0].channels) < len(scans[0].components):
        if width * height <= _MOST_CHECKED:
            _raise_if_rows_are_missing(memoryview(data), scans)
    elif data.startswith(_END, scans[0].end):
        file = BytesIO()
        file.write(memoryview(data)[: scans[0].end])
        file.write(_ONES * (width // 2))
        file.seek(0)
        return file
    return None


def _raise_if_rows_are_missing(data: memoryview, scans: Sequence["_Scan"]) -> None:
    """Compares two decodes of the first coefficients of each component, with different bytes behind each scan.

    Further scans only add detail. They may be missing, or end early, as in a file that is shown while it is loaded.
    """
    needed = [scan for scan in scans if scan.is_first]
    if {*scans[0].components} - {channel for scan in needed for channel in scan.channels}:
        raise OSError(_MISSING)
    if len(needed) > len(scans[0].components):
        return  # hostile: scans that repeat each other would each be decoded twice more
    digests = set()
    for tail in (b"", _NOISE + _RESTARTS):
        file = BytesIO()
        for scan in scans:
            file.write(data[scan.tables : scan.start])
            if scan.is_first:
                file.write(data[scan.start : scan.end])
                file.write(tail)
        file.write(_END)
        with Image.open(file, formats=("JPEG",)) as image:
            draft(image, (1, 1))
            image.load()
            digests.add(_digest(image.crop((0, 0, image.width, max(0, image.height - _LAST_ROWS)))))
    if len(digests) > 1:
        raise OSError(_MISSING)


def _whole_scans(data: bytes) -> bytes:
    """Returns `data` up to the end of its last scan. Raises OSError if scans are missing."""
    end = 0
    missing: dict[int, int] = {}  # coefficients by component, one bit each
    for scan in _scans(data):
        missing = missing or dict.fromkeys(scan.components, (1 << 64) - 1)
        whole = 0 if scan.bits & 15 else (2 << scan.last) - (1 << scan.first)
        for channel in scan.channels:
            missing[channel] &= ~(whole if scan.frame in _PROGRESSIVE else -1)
        end = scan.end
    if not missing or any(missing.values()):
        raise OSError(_MISSING)
    return data[:end].rstrip(b"\xff")


class _Scan(NamedTuple):
    """A scan's place in the file: its tables, its marker, its end; and what its header states (T.81, B.2.3)."""

    tables: int
    start: int
    end: int
    frame: int
    components: bytes
    channels: bytes
    first: int
    last: int
    bits: int

    @property
    def is_first(self) -> bool:
        """Whether it has the coefficient that is a block's mean colour, and not only its lower bits."""
        return self.first == 0 and self.bits < 16


def _scans(data: bytes) -> Iterator[_Scan]:
    """Yields the scans of the first picture, until something else than a segment follows. Raises OSError for too many
    segments.
    """
    position, tables, frame, components, segments = 2, 0, 0, b"", 0
    while (found := _MARKER.search(data, position)) and (marker := data[found.end() - 1]) in _SEGMENTS:
        if (segments := segments + 1) > _MAX_SEGMENTS:
            raise OSError("too many segments")
        length = int.from_bytes(data[found.end() : found.end() + 2])
        body = data[found.end() + 2 : found.end() + length]
        position = found.end() + length
        if marker in _FRAMES:
            frame, components = marker, body[6 : 6 + 3 * body[5] : 3]
        elif marker == _SCAN:
            count = body[0]
            after = _MARKER.search(data, position)
            position = after.start() if after else len(data)
            channels, (first, last, bits) = body[1 : 1 + 2 * count : 2], body[1 + 2 * count : 4 + 2 * count]
            yield _Scan(tables, found.start(), position, frame, components, channels, first, last, bits)
            tables = position


def _digest(image: Image.Image) -> bytes:
    digest = sha256()
    for top in range(0, image.height, _BAND):
        digest.update(image.crop((0, top, image.width, min(top + _BAND, image.height))).tobytes())
    return digest.digest()
