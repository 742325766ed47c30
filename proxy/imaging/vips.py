"""libvips, where it is installed (the extra `vips`): decodes PNG and WebP in bands, and resizes; faster than Pillow.

Why, and figures: docs/decisions/0011-decoders.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from proxy.errors import Undecodable
from proxy.imaging.resize import Box

_MEANS_FIRST = 4  # twice Pillow's reducing gap, as the pipeline sets it
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of bands


@cache
def is_installed() -> bool:
    """Whether its binding is there, and the library beside it. Does not load it."""
    return all(find_spec(module) for module in ("pyvips", "_libvips"))


def version() -> str:
    """Empty where it is not installed. Does not load it."""
    if not is_installed():
        return ""
    from importlib import metadata

    return metadata.version("pyvips-binary")


@cache
def _library() -> Any:
    """Loaded where it is used, in render processes: the server's own has nothing to decode."""
    pyvips = import_module("pyvips")
    pyvips.concurrency_set(1)  # the pool already keeps every processor busy
    pyvips.cache_set_max(0)  # its cache goes by file name, and temporary names tell nothing
    pyvips.block_untrusted_set(True)
    return pyvips


def load() -> None:
    """Ahead of the first picture, so that none waits for it or is charged its memory."""
    if is_installed():
        _library()


def takes(image: Image.Image, stored: str) -> bool:
    """Whether it decodes this picture. 16 bits are few; of animations Pillow knows the first frame."""
    if not is_installed() or ";16" in stored:
        return False
    return image.format == "PNG" or (image.format == "WEBP" and not getattr(image, "is_animated", False))


def decode_png(path: Path, factor: int) -> Image.Image:
    """The picture at `path` in plain channels, each square of `factor` pixels as their mean (of premultiplied colours).

    Raises Undecodable.
    """
    with _translated():
        picture = _library().Image.pngload(str(path), access="sequential", fail_on="error")
        mode = _MODES[picture.bands]
        if factor == 1:
            return _pillow(picture, mode)
        if mode.endswith("A"):
            picture, mode = picture.premultiply(), mode.replace("A", "a")
        # 16 bits, because `shrink` cuts fractions off: in 8 bits pictures would darken. Floats take twice the memory.
        means = (picture * 256).cast("ushort").shrink(factor, factor, ceil=True)
        return _pillow((means / 256).rint().cast("uchar"), mode)


def decode_webp(path: Path, scale: float) -> Image.Image:
    """The picture at `path`, scaled by libwebp while it decodes: RGB or RGBA. Raises Undecodable."""
    with _translated():
        picture = _library().Image.webpload(str(path), access="sequential", fail_on="error", scale=scale)
        return _pillow(picture, _MODES[picture.bands])


def resize(image: Image.Image, width: int, height: int, box: Box) -> Image.Image | None:
    """The part `box` of `image` (L, La, RGB, RGBa or CMYK) by Lanczos at `width` x `height`.

    None where Pillow does it better: outside of whole pixels, which this cannot, and enlarged or reduced by 4 and more,
    where means over squares come first. Within 2 levels of Pillow, in a third of its time.
    """
    left, top, right, bottom = box
    reduced = (right - left) / width, (bottom - top) / height
    whole = all(float(side).is_integer() for side in box)
    if not is_installed() or not whole or not all(1 <= factor < _MEANS_FIRST for factor in reduced):
        return None
    pixels = _library().Image.new_from_memory(
        image.tobytes(), image.width, image.height, len(image.getbands()), "uchar"
    )
    part = pixels.crop(int(left), int(top), int(right - left), int(bottom - top))
    return _pillow(part.reduce(*reduced, kernel="lanczos3"), image.mode)


def _pillow(picture: Any, mode: str) -> Image.Image:
    return Image.frombytes(mode, (picture.width, picture.height), picture.write_to_memory())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _library().Error as error:
        raise Undecodable("The file is truncated or damaged. Export it again.") from error
