"""libvips (the optional extra `vips`): decodes PNG and WebP in bands, resizes faster than Pillow, and finds attention.

Reasons and figures: docs/decisions/0011-decoders.md.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from math import ceil, floor
from typing import Any

from PIL import Image

from proxy import system
from proxy.errors import Undecodable
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.png_pixels import TRUNCATED
from proxy.imaging.resize import Box

_MAX_FACTOR = 4  # twice the pipeline's REDUCING_GAP: from here on Pillow averages squares first
_OFF_MIDDLE = 1 / 32  # of a pixel of the source, which is invisible
_MOST_EXTRA = 4  # enough for reductions of more than 1.1
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of bands


@cache
def is_installed() -> bool:
    """Whether binding and library are installed. Does not load them."""
    return system.has_libvips()


def version() -> str:
    """Returns the version; empty if libvips is not installed. Does not load it."""
    if not is_installed():
        return ""
    from importlib import metadata

    return metadata.version("pyvips-binary")


@cache
def _library() -> Any:
    """Loads the library on first use, so that only render workers load it."""
    pyvips = import_module("pyvips")
    pyvips.concurrency_set(1)  # the pool already uses every processor
    pyvips.cache_set_max(0)  # the cache's keys are file names, and temporary names say nothing of the content
    pyvips.block_untrusted_set(True)
    return pyvips


def load() -> None:
    """Loads the library before the first request, so that no request waits for it or counts its memory."""
    if is_installed():
        _library()


def can_decode(image: Image.Image) -> bool:
    """Whether libvips decodes this image of 8 bits. Animations need Pillow for their first frame."""
    if not is_installed():
        return False
    return image.format == "PNG" or (image.format == "WEBP" and not getattr(image, "is_animated", False))


def decode_png(file: bytes, factor: int) -> Image.Image:
    """Decodes the PNG `file` to plain channels, averaging each square of `factor` pixels (premultiplied).

    Raises Undecodable.
    """
    with _translate_errors():
        return _shrink(_library().Image.pngload_buffer(file, access="sequential", fail_on="error"), factor)


def _shrink(image: Any, factor: int) -> Image.Image:
    mode = _MODES[image.bands]
    if factor == 1:
        return _to_pillow(image, mode)
    # 16 bits, because `shrink` truncates: 8-bit images would darken. Floats need twice the memory and time.
    if mode.endswith("A"):
        alpha = image[image.bands - 1]
        products = image[: image.bands - 1].bandjoin(255) * alpha
        return _to_pillow(
            (products.shrink(factor, factor, ceil=True) / 255).rint().cast("uchar"), mode.replace("A", "a")
        )
    means = (image * 256).cast("ushort").shrink(factor, factor, ceil=True)
    return _to_pillow((means / 256).rint().cast("uchar"), mode)


def decode_webp(path: OriginalFile, scale: float) -> Image.Image:
    """Decodes the opaque or lossless WebP at `path`; libwebp scales it by `scale`. Raises Undecodable."""
    with _translate_errors(), _source(path) as source:
        image = _library().Image.webpload_source(source, access="sequential", fail_on="error", scale=scale)
        return _to_pillow(image, _MODES[image.bands])


def decode_transparent_webp(path: OriginalFile, factor: int) -> Image.Image:
    """Decodes the lossy WebP at `path`, averaging each square of `factor` pixels (premultiplied). Raises Undecodable.

    libwebp premultiplies when it scales lossless images, but not lossy ones: hidden black would darken the edges.
    """
    with _translate_errors(), _source(path) as source:
        image = _library().Image.webpload_source(source, access="sequential", fail_on="error")
        return _shrink(image, factor)


def resize(image: Image.Image, width: int, height: int, box: Box) -> Image.Image | None:
    """Resizes the part `box` of `image` (L, La, RGB, RGBa or CMYK) to `width` x `height` by Lanczos.

    Returns None for Pillow's cases: most boxes of fractional pixels, an enlargement, and a reduction by 4 or more,
    where Pillow averages squares first. Within 2 levels of Pillow, in a third of its time.
    """
    reduced = (box[2] - box[0]) / width, (box[3] - box[1]) / height
    if not is_installed() or not all(1 <= factor < _MAX_FACTOR for factor in reduced):
        return None
    across, down = _span(box[0], box[2], width, image.width), _span(box[1], box[3], height, image.height)
    if across is None or down is None:
        return None
    pixels = _library().Image.new_from_memory(
        image.tobytes(), image.width, image.height, len(image.getbands()), "uchar"
    )
    part = pixels.crop(across.first, down.first, across.length, down.length)
    reduced_part = part.reduce(*reduced, kernel="lanczos3")
    return _to_pillow(reduced_part.crop(across.extra, down.extra, width, height), image.mode)


@dataclass(frozen=True, slots=True)
class _Span:
    """Whole pixels that libvips reduces, and how many pixels of the result are cut off on both sides."""

    first: int
    length: int
    extra: int


def _span(start: float, end: float, size: int, length: int) -> _Span | None:
    """Finds whole pixels, of `length`, whose reduction shows exactly `start` to `end` in `size` pixels.

    libvips rounds the length of its result, and lays it around the middle of what it reduces. So sides between pixels
    are exact if the middle is on a pixel, or between two: so it is for a crop around the middle of an image.
    """
    ends = round(start + end)
    if abs(start + end - ends) / 2 > _OFF_MIDDLE:
        return None
    factor = (end - start) / size
    for extra in range(_MOST_EXTRA + 1):
        count = size + 2 * extra
        taken = ends % 2 + 2 * ceil((count * factor - ends % 2 - 1) / 2)  # the nearest that is even or odd as `ends`
        first = (ends - taken) // 2
        if first >= 0 and first + taken <= length and floor(taken / factor + 0.5) == count:
            return _Span(first, taken, extra)
    return None


def attention(image: Image.Image, width: int, height: int) -> tuple[int, int]:
    """Returns the pixel of `image` (RGB) in whose surroundings of `width` x `height` pixels most draws the eye.

    libvips must be installed. It looks for edges, saturated colours and tones of skin (its `smartcrop`).
    """
    pixels = _library().Image.new_from_memory(image.tobytes(), image.width, image.height, 3, "uchar")
    _, found = pixels.copy(interpretation="srgb").smartcrop(
        width, height, interesting="attention", attention_x=True, attention_y=True
    )
    return found["attention_x"], found["attention_y"]


def _to_pillow(image: Any, mode: str) -> Image.Image:
    return Image.frombytes(mode, (image.width, image.height), image.write_to_memory())


@contextmanager
def _source(path: OriginalFile) -> Iterator[Any]:
    with path.open("rb") as file:
        if isinstance(file, BytesIO):
            yield _library().Source.new_from_memory(file.getvalue())
            return
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # libvips reads on from the descriptor's position
        yield _library().Source.new_from_descriptor(file.fileno())


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except _library().Error as error:
        raise Undecodable(TRUNCATED) from error
