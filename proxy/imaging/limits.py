"""Opens an image and checks its header against limits, before a pixel is decoded."""

import mmap
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from proxy.errors import Refused, TooHeavy, TooManyPixels, TooSmall, Undecodable, UnsupportedFormat
from proxy.imaging.containers import sniff
from proxy.imaging.header import stated_sides, unsupported_kind
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.png_pixels import TRUNCATED, pixel_chunks

SOURCE_FORMATS = ("JPEG", "PNG", "WEBP")
"""The formats that Pillow may try. Pillow opens camera files of several frames (MPO) through JPEG."""

MAX_SCANS = 100
"""Progressive scans in a JPEG. Encoders write about 10. Each is a pass over the whole image, so a small file could take
minutes to decode; libjpeg-turbo's fuzzers stop at 100 and 500."""

MAX_SCANNED_PIXELS = 1_500_000_000
"""Pixels times scans: two to three seconds of decoding. The largest images may have 15 scans."""

_ICC_HEAD = 14  # bytes before a part of a profile: its name, its number, the number of parts

MORE_MEMORY_THAN_ESTIMATED = "The image needs more memory than its header suggests. Scale it down."

_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    struct.error,
    zlib.error,
)
"""What Pillow's parsers raise on broken files; its documentation promises only OSError."""


def _read_application_segment(self: JpegImagePlugin.JpegImageFile, marker: int) -> None:
    """Ignores a segment that is too short for what it announces, as browsers do; Pillow refuses the whole file."""
    with suppress(IndexError, struct.error):
        JpegImagePlugin.APP(self, marker)
    self.icclist = [part for part in self.icclist if len(part) >= _ICC_HEAD]


for _marker, (_name, _description, _read) in [*JpegImagePlugin.MARKER.items()]:
    if _read is JpegImagePlugin.APP:
        JpegImagePlugin.MARKER[_marker] = (_name, _description, _read_application_segment)


@dataclass(frozen=True, slots=True)
class Limits:
    """Accepted sides in pixels."""

    min_side: int
    max_side: int


@contextmanager
def open_image(path: OriginalFile, limits: Limits) -> Iterator[Image.Image]:
    """Opens the file at `path` and checks its header against `limits` and the bounds above, without decoding pixels.

    Of a PNG, the yielded image has only what its pixels need (see `png_pixels`). Decode it inside the `with` block:
    Pillow's errors there are translated, too. Raises UnsupportedFormat, Undecodable, TooSmall, TooManyPixels or
    TooHeavy (out of memory).
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of unusual but decodable files, and of sizes that are checked below.
            warnings.simplefilter("ignore")
            with _reduced(path, limits) as opened, Image.open(opened, formats=SOURCE_FORMATS) as image:
                _check_sides(image.width, image.height, limits)
                if image.format in ("JPEG", "MPO"):
                    _check_scans(path, image.width * image.height)
                yield image
    except Image.DecompressionBombError as error:
        raise TooManyPixels(
            f"The image has too many pixels. Scale it down to at most {limits.max_side} pixels a side."
        ) from error
    except UnidentifiedImageError as error:
        extension = _extension(path)
        if extension:
            raise _damaged(path, limits, f"This {extension} file is damaged. Export it again.") from error
        raise UnsupportedFormat("Send a JPEG, PNG or WebP image.") from error
    except MemoryError as error:
        raise TooHeavy(MORE_MEMORY_THAN_ESTIMATED) from error
    except _DECODER_ERRORS as error:
        raise _damaged(path, limits, TRUNCATED) from error


def _reduced(path: OriginalFile, limits: Limits) -> BinaryIO:
    """Returns the source for Pillow: of a PNG, only what its pixels need."""
    if _extension(path) != "png":
        return path.open("rb")
    try:
        return pixel_chunks(path)
    except Undecodable as error:
        raise _damaged(path, limits, str(error)) from error


def _extension(path: OriginalFile) -> str | None:
    with path.open("rb") as file:
        return sniff(file.read(12))


def _damaged(path: OriginalFile, limits: Limits, damage: str) -> Refused:
    """Returns why a file cannot be read: it may be too large for the decoder, or sound but of a rare kind."""
    width, height = stated_sides(path)
    if max(width, height) > limits.max_side:
        return _too_many_pixels(width, height, limits)
    kind = unsupported_kind(path)
    return Undecodable(f"{kind} is not supported. Export it as an ordinary 8-bit JPEG." if kind else damage)


def _check_sides(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > limits.max_side:
        raise _too_many_pixels(width, height, limits)
    if min(width, height) < limits.min_side:
        raise TooSmall(f"The image is {width}x{height} pixels. Both sides need at least {limits.min_side}.")


def _too_many_pixels(width: int, height: int, limits: Limits) -> TooManyPixels:
    return TooManyPixels(
        f"The image is {width}x{height} pixels. Scale it down to at most {limits.max_side} pixels a side."
    )


def _check_scans(path: OriginalFile, pixels: int) -> None:
    """Counts start-of-scan markers in the whole file. Thumbnails and chance add few, far below the limit."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        scans = sum(1 for _ in re.finditer(rb"\xff\xda\x00", data))
    most = min(MAX_SCANS, MAX_SCANNED_PIXELS // pixels)
    if scans > most:
        raise Undecodable(f"The JPEG is split into {scans} scans; {most} is the limit. Export it again.")
