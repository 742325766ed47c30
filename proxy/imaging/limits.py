"""Opens a picture and judges it by its header, before a pixel is decoded."""

import mmap
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from proxy.errors import TooHeavy, TooManyPixels, TooSmall, Undecodable, UnsupportedFormat

SOURCE_FORMATS = ("JPEG", "PNG", "WEBP")
"""What Pillow may try. Camera files of several frames (MPO) arrive through JPEG."""

MAX_SCANS = 100
"""Progressive scans in a JPEG. Encoders write about 10, and each costs a pass over the whole picture, so a small file
could buy minutes of decoding; libjpeg-turbo's fuzzers cut at 100 and 500."""

MAX_SCANNED = 1_500_000_000
"""Pixels, times scans: two to three seconds. Of the largest pictures that leaves 15 scans."""

MAX_CHUNKS = 20_000
"""Chunks in a PNG. Encoders make them of 8 KiB and more, so 10 MB are 1,300; Pillow reads a million empty ones for
seconds."""

MORE_MEMORY_THAN_ESTIMATED = "The picture needs more memory than its header suggests. Scale it down."

_PNG = b"\x89PNG\r\n\x1a\n"
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
"""What Pillow's parsers are known to raise on broken files (its own documentation promises OSError only)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Accepted sides in pixels."""

    min_side: int
    max_side: int


def sniff(head: bytes) -> str | None:
    """The extension (`jpg`, `png`, `webp`) that a file's first 12 bytes announce; None for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(_PNG):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


@contextmanager
def open_picture(path: Path, limits: Limits) -> Iterator[Image.Image]:
    """The picture, opened but not decoded, with the decoder's complaints translated for the whole block.

    Raises UnsupportedFormat, Undecodable, TooSmall or TooManyPixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd but decodable files, and of sizes that are judged right below.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=SOURCE_FORMATS) as image:
                _check_sides(image.width, image.height, limits)
                if image.format == "PNG":
                    _check_chunks(path)
                elif image.format in ("JPEG", "MPO"):
                    _check_scans(path, image.width * image.height)
                yield image
    except Image.DecompressionBombError as error:
        raise TooManyPixels(f"Scale it down to at most {limits.max_side} pixels a side.") from error
    except UnidentifiedImageError as error:
        with path.open("rb") as file:
            known = sniff(file.read(12))
        if known:
            raise Undecodable(f"This {known} file is damaged. Export it again.") from error
        raise UnsupportedFormat("Send a JPEG, PNG or WebP picture.") from error
    except MemoryError as error:
        raise TooHeavy(MORE_MEMORY_THAN_ESTIMATED) from error
    except _DECODER_ERRORS as error:
        raise Undecodable("The file is truncated or damaged. Export it again.") from error


def _check_sides(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > limits.max_side:
        raise TooManyPixels(
            f"The picture is {width}x{height} pixels. Scale it down to at most {limits.max_side} pixels a side."
        )
    if min(width, height) < limits.min_side:
        raise TooSmall(f"The picture is {width}x{height} pixels. Both sides need at least {limits.min_side}.")


def _check_scans(path: Path, pixels: int) -> None:
    """Counts start-of-scan markers anywhere in the file: what thumbnails and chance add stays far from the limit."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        scans = sum(1 for _ in re.finditer(rb"\xff\xda\x00", data))
    most = min(MAX_SCANS, MAX_SCANNED // pixels)
    if scans > most:
        raise Undecodable(f"The JPEG is split into {scans} scans; {most} is the limit. Export it again.")


def _check_chunks(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = len(_PNG)
        for _ in range(MAX_CHUNKS + 1):
            if start + 8 > len(data):
                return
            start += 12 + int.from_bytes(data[start : start + 4])
    raise Undecodable(f"The PNG is split into more than {MAX_CHUNKS} chunks. Export it again.")
