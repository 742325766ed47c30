"""Finds the ICC profile of a file's samples, in whichever way the file states its colours.

JPEG, WebP and TIFF contain a profile. PNG has four ways: cICP, iCCP, sRGB, gAMA with cHRM; the first of them that is
sound counts (PNG specification, third edition, 4.3). AVIF and HEIC have a profile, or code points.
"""

import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

from proxy.errors import Undecodable
from proxy.imaging.cicp import color_of_code_points
from proxy.imaging.containers import (
    MAX_CHUNKS,
    SNIFFED,
    TooManyParts,
    is_sound,
    jpeg_segments,
    png_chunks,
    read_body,
    sniff,
    webp_chunks,
)
from proxy.imaging.heif import read_heif
from proxy.imaging.icc import D65, SRGB, Curve, Point, color_profile, grey_profile, srgb_decode
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.tiff import ICC, TiffDirectory
from proxy.model import SourceFormat

MAX_PROFILE = 8 << 20
"""Bytes of a PNG's or WebP's profile, inflated. Press profiles have one to three million. A JPEG's has at most 255
segments of 64 KiB."""

_MAX_SEGMENTS = 10_000
_ICC_SEGMENT, _ICC_NAME = b"\xe2", b"ICC_PROFILE\0"
_COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_GREY_TYPES = (0, 4)  # of PNG's header
_SRGB_GAMMAS = range(45_000, 46_001)  # in gAMA: encoders write 45455 beside sRGB's curve, which it approximates
_POSSIBLE_GAMMAS = range(16, 625_000_001)  # libpng ignores others
_UNSPECIFIED, _SRGB_PRIMARIES, _SRGB_CURVE = 2, 1, 13  # of ITU-T H.273
_VIDEO_CURVES = (1, 6, 14, 15)
_SAME_POINT = 0.005  # of x and y: cHRM is rounded


def read_profile(path: OriginalFile) -> bytes | None:
    """Returns the profile of the samples of an original; None stands for sRGB. Raises OSError.

    Ignores what is broken, incomplete or unknown, as browsers do.
    """
    with path.open("rb") as file:
        try:
            format = sniff(file.read(SNIFFED))
            return _READERS[format](file) if format in _READERS else None
        except (TooManyParts, ValueError, struct.error, Undecodable):
            return None


def _jpeg(file: BinaryIO) -> bytes | None:
    """Joins the numbered pieces, which come in any order, anywhere before the first scan, and perhaps repeatedly."""
    found: dict[int, dict[int, bytes]] = {}  # pieces by number, by their stated count
    for segment in jpeg_segments(file, _MAX_SEGMENTS):
        if segment.kind == _ICC_SEGMENT and segment.length > 14:
            body = read_body(file, segment, segment.length)
            if body.startswith(_ICC_NAME):
                found.setdefault(body[13], {}).setdefault(body[12], body[14:])
    for count, pieces in found.items():
        numbers = range(1, count + 1)
        if count and all(number in pieces for number in numbers):
            return b"".join(pieces[number] for number in numbers)
    return None


def _webp(file: BinaryIO) -> bytes | None:
    for chunk in webp_chunks(file, _MAX_SEGMENTS):
        if chunk.kind == b"ICCP":
            return read_body(file, chunk, MAX_PROFILE)
    return None


def _heif(file: BinaryIO) -> bytes | None:
    """Returns the profile, or what the code points mean. Decoders convert to RGB, but leave curve and primaries.

    The curve of video (BT.709) counts as sRGB's: cameras and encoders state it for images that viewers show as sRGB.
    """
    image = read_heif(file)
    if image.icc or image.nclx is None:
        return image.icc
    primaries, transfer, _ = image.nclx
    if primaries == _UNSPECIFIED:
        primaries = _SRGB_PRIMARIES
    if transfer in (_UNSPECIFIED, *_VIDEO_CURVES):
        transfer = _SRGB_CURVE
    if (primaries, transfer) == (_SRGB_PRIMARIES, _SRGB_CURVE) or max(primaries, transfer) > 255:
        return None
    color = color_of_code_points(bytes((primaries, transfer, 0, 1)))
    return _profile(False, *color) if color else None


def _png(file: BinaryIO) -> bytes | None:
    found: dict[bytes, bytes] = {}
    grey = False
    for chunk in png_chunks(file, MAX_CHUNKS):
        if chunk.kind == b"IHDR":
            grey = read_body(file, chunk, 10)[9:] in [bytes([kind]) for kind in _GREY_TYPES]
        elif chunk.kind == b"IDAT":
            break
        elif chunk.kind in _COLOR_CHUNKS and chunk.kind not in found and is_sound(file, chunk):
            found[chunk.kind] = read_body(file, chunk, MAX_PROFILE)
    color = color_of_code_points(found.get(b"cICP", b""))
    if color:
        return _profile(grey, *color)
    profile = _inflate(found.get(b"iCCP", b"")) or b""
    if profile[36:40] == b"acsp" and profile[16:20] == (b"GRAY" if grey else b"RGB "):
        return profile
    if len(found.get(b"sRGB", b"")) == 1:
        return None
    return _gamma_and_primaries(found.get(b"gAMA", b""), found.get(b"cHRM", b""), grey=grey)


def _inflate(body: bytes) -> bytes | None:
    """Returns the profile in an iCCP chunk: a name, NUL, the method 0, and zlib's data."""
    _, separator, rest = body.partition(b"\0")
    if not separator or rest[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _gamma_and_primaries(gamma: bytes, points: bytes, *, grey: bool) -> bytes | None:
    """Returns the profile of gAMA and cHRM, in hundred thousandths. Without one of them, sRGB's values are assumed."""
    stated = int.from_bytes(gamma) if len(gamma) == 4 else 0
    exponent = stated if stated in _POSSIBLE_GAMMAS else 0
    white, primaries = D65, SRGB
    if len(points) == 32:
        x_and_y = [value / 100_000 for value in struct.unpack(">8I", points)]
        white, red, green, blue = zip(x_and_y[::2], x_and_y[1::2], strict=True)
        primaries = (red, green, blue)
    is_srgb = grey or all(map(_near, (white, *primaries), (D65, *SRGB)))
    if not exponent:
        return None if is_srgb else _profile(grey, srgb_decode, primaries, white)
    if is_srgb and exponent in _SRGB_GAMMAS:
        return None
    return _profile(grey, lambda sample: sample ** (100_000 / exponent), primaries, white)


def _tiff(file: BinaryIO) -> bytes | None:
    return TiffDirectory(file).data(ICC, MAX_PROFILE) or None


def _near(one: Point, other: Point) -> bool:
    return all(abs(a - b) < _SAME_POINT for a, b in zip(one, other, strict=True))


def _profile(grey: bool, curve: Curve, primaries: tuple[Point, Point, Point], white: Point) -> bytes | None:
    try:
        return grey_profile(curve) if grey else color_profile(curve, primaries, white)
    except (ArithmeticError, struct.error):  # impossible primaries
        return None


_READERS: dict[SourceFormat | None, Callable[[BinaryIO], bytes | None]] = {
    SourceFormat.JPEG: _jpeg,
    SourceFormat.PNG: _png,
    SourceFormat.WEBP: _webp,
    SourceFormat.AVIF: _heif,
    SourceFormat.TIFF: _tiff,
    SourceFormat.HEIC: _heif,
}
"""The reader of each format. GIF has none, because browsers ignore profiles in GIF."""
