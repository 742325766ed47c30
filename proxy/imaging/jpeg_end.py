"""Decodes a JPEG that has all its pixels, but not the end marker that Pillow waits for.

Some cameras leave it out, or write data of their own in its place. Whether pixels are missing shows in attempts with
different bytes behind the last scan: a decoder reads them only if it needs more.
"""

import re
from hashlib import sha256
from io import BytesIO

from PIL import Image

from proxy.imaging.original_file import OriginalFile

_END = b"\xff\xd9"
_TAILS = (  # no marker; a decoder fills up with zeros before the last one
    bytes(1 + number * number * 37 % 251 for number in range(2048)) + _END,
    b"\xff\x00" * 2048 + _END,
    b"\x55" * 2048 + _END,
    _END,
)
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # not within a scan (ITU-T T.81, B.1.1.5)
_FRAMES, _PROGRESSIVE = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}, {0xC2, 0xCA}
_SCAN = 0xDA
_SEGMENTS = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *_FRAMES, *range(0xE0, 0xF0), _SCAN}
_MISSING = "pixels are missing"
_BAND = 64  # rows


def draft(image: Image.Image, size: tuple[int, int]) -> float:
    """Lets the decoder of `image` scale it, to at least `size` pixels. Returns the scale; 1 for all but JPEG."""
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


def _whole_scans(data: bytes) -> bytes:
    """Returns `data` up to the end of its last scan. Raises OSError if scans are missing."""
    position, progressive = 2, False
    missing = {-1: 1}  # coefficients by component, one bit each
    while (found := _MARKER.match(data, position)) and (marker := found[1][0]) in _SEGMENTS:
        length = int.from_bytes(data[found.end() : found.end() + 2])
        body = data[found.end() + 2 : found.end() + length]
        position = found.end() + length
        if marker in _FRAMES:
            progressive = marker in _PROGRESSIVE
            missing = {body[at]: (1 << 64) - 1 for at in range(6, 6 + 3 * body[5], 3)}
        elif marker == _SCAN:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            whole = 0 if bits & 15 else (2 << last) - (1 << first)
            for component in body[1 : 1 + 2 * count : 2]:
                missing[component] &= ~(whole if progressive else -1)
            following = _MARKER.search(data, position)
            position = following.start() if following else len(data)
    if any(missing.values()):
        raise OSError(_MISSING)
    return data[:position].rstrip(b"\xff")


def _digest(image: Image.Image) -> bytes:
    digest = sha256()
    for top in range(0, image.height, _BAND):
        digest.update(image.crop((0, top, image.width, min(top + _BAND, image.height))).tobytes())
    return digest.digest()
