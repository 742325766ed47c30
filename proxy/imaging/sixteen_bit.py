"""PNG and TIFF samples of 16 bits, which Pillow reads as 8: converts them by their curve to 8 bits with sRGB's curve.

With another curve, 8 bits are too few: of linear light, 6 of the 50 darkest levels would be left. Pillow can read the
upper bytes, or the lower ones as if the file had the other byte order; so colours are decoded twice.
"""

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from PIL import Image, ImageChops

from proxy.imaging.icc import linear_tables, split_curves

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of channels
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_LOWER = {  # raw modes
    f"{mode};16{order}": f"{mode};16{other}" for mode in ("RGB", "RGBA") for order, other in _OTHER_ORDER.items()
}
_GREY = ("I;16", "I;16B", "I;16N")
_GREY_AND_ALPHA = "LA;16B"


def is_deep(image: Image.Image, stored: str) -> bool:
    """Whether the samples of a file that is not loaded yet have 16 bits. `stored`: the raw mode of its first tile.

    False for CMYK of 16 bits, and for channels that a TIFF stores one after the other: Pillow's 8 bits suffice there.
    """
    if image.format != "TIFF":
        return ";16" in stored
    tiles = image.tile  # type: ignore[attr-defined] # of ImageFile alone
    return stored in (*_GREY, *_LOWER) and all(tile.args[0] == stored for tile in tiles)


def split_profile(profile: bytes | None, stored: str) -> tuple[list[list[int]], bytes | None]:
    """Returns a table for each colour channel, and the profile of the converted samples.

    A profile for another number of channels is ignored. One without curves is left for the converted samples.
    """
    channels, space = (1, b"GRAY") if stored in (*_GREY, _GREY_AND_ALPHA) else (3, b"RGB ")
    if profile and profile[16:20] == space and (split := split_curves(profile)):
        return split
    return [linear_tables()] * channels, profile


class DeepSamples:
    """The channels of a 16-bit PNG or TIFF."""

    def __init__(self, image: Image.Image, lower: Image.Image, stored: str, tables: Sequence[list[int]]) -> None:
        """`image` and `lower` are the same file, opened twice and not loaded yet."""
        self._tables, self._key = tables, image.info.get("transparency")
        if stored == _GREY_AND_ALPHA:  # read as four channels of bytes
            image.tile = [tile._replace(args="RGBA") for tile in image.tile]  # type: ignore[attr-defined] # of ImageFile alone
            self._pairs = [(image, 0, image, 1), (image, 2, image, 3)]
        elif stored in _GREY:
            self._pairs = []
        else:
            lower.tile = [_with_raw_mode(tile, _LOWER[stored]) for tile in lower.tile]  # type: ignore[attr-defined] # of ImageFile alone
            lower.load()
            self._pairs = [(image, band, lower, band) for band in range(len(image.getbands()))]
        image.load()
        self._image = image

    def plain(self, top: int, bottom: int) -> Image.Image:
        """Converts rows to L, LA, RGB or RGBA."""
        box = (0, top, self._image.width, bottom)
        wide = [_join(*pair, box) for pair in self._pairs] or [self._image.crop(box).convert("I")]
        colors = [_look_up(channel, table) for channel, table in zip(wide, self._tables, strict=False)]
        alpha = [_look_up(wide[-1], linear_tables())] if len(wide) > len(colors) else self._keyed(wide)
        return Image.merge(_MODES[len(colors + alpha)], colors + alpha)

    def _keyed(self, wide: Sequence[Image.Image]) -> list[Image.Image]:
        """Returns the alpha of a PNG's transparent colour: 0 where all 16 bits of all channels equal it."""
        key = (self._key,) if isinstance(self._key, int) else self._key
        if not isinstance(key, tuple) or len(key) != len(wide):
            return []
        visible = [_look_up(channel, _all_but(keyed)) for channel, keyed in zip(wide, key, strict=True)]
        alpha = visible[0]
        for other in visible[1:]:
            alpha = ImageChops.lighter(alpha, other)
        return [alpha]


def to_eight_bits(grey: Image.Image) -> Image.Image:
    """Converts a loaded image of 16-bit grey to L."""
    return _look_up(grey.convert("I"), linear_tables())


def _with_raw_mode(tile: Any, mode: str) -> Any:
    return tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)


def _look_up(channel: Image.Image, table: list[int]) -> Image.Image:
    """Replaces each sample of mode I by its entry of 65,536. `Image.point` would round all entries for each call."""
    return channel._new(channel.im.point(table, "L"))  # noqa: SLF001 - public `point` alone rounds


@lru_cache(maxsize=3)
def _all_but(keyed: int) -> list[int]:
    return [0 if value == keyed else 255 for value in range(65536)]


def _join(
    upper: Image.Image, upper_band: int, lower: Image.Image, lower_band: int, box: tuple[int, int, int, int]
) -> Image.Image:
    """Returns the rows in `box` of one channel in mode I, joined from its upper and its lower bytes."""
    low, high = lower.crop(box).getchannel(lower_band), upper.crop(box).getchannel(upper_band)
    return Image.frombytes("I;16", high.size, Image.merge("LA", (low, high)).tobytes()).convert("I")
