"""Opens an image and checks its header against limits, before a pixel is decoded."""

import mmap
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, JpegImagePlugin, UnidentifiedImageError

from proxy.errors import Refused, TooHeavy, TooManyPixels, TooSmall, Undecodable, UnsupportedFormat
from proxy.imaging import heic
from proxy.imaging.containers import SNIFFED, sniff
from proxy.imaging.header import read_header, stated_sides, unsupported_kind
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.png_pixels import TRUNCATED, pixel_chunks
from proxy.model import SourceFormat

PILLOW_NAMES = {format: "HEIF" if format is SourceFormat.HEIC else format.upper() for format in SourceFormat}
"""Pillow's names of formats. It opens camera files of several frames (MPO) through JPEG."""

_IN_MEMORY = (SourceFormat.AVIF, SourceFormat.TIFF, SourceFormat.HEIC)
"""What is decoded from memory: the libraries would read from a descriptor, or read the whole file in any case."""

MAX_SCANS = 100
"""Progressive scans in a JPEG. Encoders write about 10. Each is a pass over the whole image, so a small file could take
minutes to decode; libjpeg-turbo's fuzzers stop at 100 and 500."""

MAX_SCANNED_PIXELS = 1_500_000_000
"""Pixels times scans: two to three seconds of decoding. The largest images may have 15 scans."""

_ICC_HEAD = 14  # bytes before a part of a profile: its name, its number, the number of parts

MORE_MEMORY_THAN_ESTIMATED = "The image needs more memory than its header suggests. Scale it down."

_DECODER_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's parsers and pillow-heif raise on broken files; its documentation promises only OSError."""


def _read_application_segment(self: JpegImagePlugin.JpegImageFile, marker: int) -> None:
    """Ignores a segment that is too short for what it announces, as browsers do; Pillow refuses the whole file."""
    with suppress(IndexError, struct.error):
        JpegImagePlugin.APP(self, marker)
    self.icclist = [part for part in self.icclist if len(part) >= _ICC_HEAD]


AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the pool already uses every processor

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
    """Opens the file at `path`. Checks its header against `limits` and this module's bounds, decoding no pixels.

    Of a PNG, the yielded image has only what its pixels need (see `png_pixels`). Decode it inside the `with` block:
    Pillow's errors there are translated, too. Raises UnsupportedFormat, Undecodable, TooSmall, TooManyPixels or
    TooHeavy (out of memory).
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of unusual but decodable files, and of sizes that are checked below.
            warnings.simplefilter("ignore")
            format = _format(path)
            with _reduced(path, format, limits) as opened, Image.open(opened, formats=_allowed(format)) as image:
                _check_sides(image.width, image.height, limits)
                if image.format in ("JPEG", "MPO"):
                    _check_scans(path, image.width * image.height)
                yield image
    except Image.DecompressionBombError as error:
        raise TooManyPixels(
            f"The image has too many pixels. Scale it down to at most {limits.max_side} pixels a side."
        ) from error
    except UnidentifiedImageError as error:
        rare = " or of a rare kind" if format is SourceFormat.TIFF else ""
        raise _damaged(path, limits, f"This {format.label} file is damaged{rare}. Export it again.") from error
    except MemoryError as error:
        raise TooHeavy(MORE_MEMORY_THAN_ESTIMATED) from error
    except _DECODER_ERRORS as error:
        raise _damaged(path, limits, TRUNCATED) from error


def _reduced(path: OriginalFile, format: SourceFormat, limits: Limits) -> BinaryIO:
    """Returns the source for Pillow: of a PNG, only what its pixels need."""
    if format in (SourceFormat.TIFF, SourceFormat.GIF) and read_header(path) is None:  # it names rare kinds of TIFF
        raise _damaged(path, limits, f"This {format.label} file is damaged. Export it again.")
    if format in _IN_MEMORY:
        with path.open("rb") as file:
            return BytesIO(file.read())
    if format is not SourceFormat.PNG:
        return path.open("rb")
    try:
        return pixel_chunks(path)
    except Undecodable as error:
        raise _damaged(path, limits, str(error)) from error


def _format(path: OriginalFile) -> SourceFormat:
    with path.open("rb") as file:
        format = sniff(file.read(SNIFFED))
    if format is None:
        raise UnsupportedFormat("The file is not an image of a format that this server reads.")
    return format


def _allowed(format: SourceFormat) -> tuple[str]:
    """Returns the one format that Pillow may try. Other parsers see no byte of the file."""
    if format is SourceFormat.HEIC:
        heic.load()
    return (PILLOW_NAMES[format],)


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
    """Counts start-of-scan markers in the whole file. Raises Undecodable for too many.

    Thumbnails, and bytes that only look like markers, add few, far below the limit.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        scans = sum(1 for _ in re.finditer(rb"\xff\xda\x00", data))
    most = min(MAX_SCANS, MAX_SCANNED_PIXELS // pixels)
    if scans > most:
        raise Undecodable(f"The JPEG is split into {scans} scans; {most} is the limit. Export it again.")
