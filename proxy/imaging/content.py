"""Classifies an image by strips of its rows; encoders choose their options by it. Figures: docs/decisions/0033."""

from collections.abc import Iterator
from functools import reduce

from PIL import Image, ImageChops

_STRIPS, _ROWS = 8, 16
_BAND = 64  # rows
_VISIBLE = 32  # levels by which a halved chroma plane differs: coloured text, seldom anything in photographs
_EDGES, _DETAIL_EDGES = 0.01, 0.03  # fractions of such pixels, of all and of those that are not flat, that need 4:4:4
_FEWEST_EDGES = 0.0005  # photographs have less: the time to look for flat areas is spared
_FLAT = 0.6  # grey photographs have up to 0.5, with a clear sky
_PARTLY_FLAT = 0.1  # drawings that were scaled down; dithered images have less
_FEW_COLORS = 1024, 4096  # in small and in large images; between them 3 % of the pixels
_FEW_COLORS_SHARE = 0.03  # photographs have 0.05 to 0.6


def strips(image: Image.Image, count: int = _STRIPS) -> Iterator[Image.Image]:
    """Yields strips of 16 rows from all over the image; the whole image if it is small."""
    if image.height <= count * _ROWS:
        yield image
        return
    for number in range(count):
        top = (2 * number + 1) * (image.height - _ROWS) // (2 * count)
        yield image.crop((0, top, image.width, top + _ROWS))


def bands(image: Image.Image) -> Iterator[Image.Image]:
    """Yields the whole image, some rows at a time, for work that would need a copy."""
    for top in range(0, image.height, _BAND):
        yield image.crop((0, top, image.width, min(top + _BAND, image.height)))


def has_chroma_edges(image: Image.Image) -> bool:
    """Whether an RGB or RGBA image, such as coloured text, visibly changes if its chroma has half the resolution."""
    changed = pixels = 0
    for strip in strips(image):
        pixels += strip.width * strip.height
        for plane in strip.convert("RGB").convert("YCbCr").split()[1:]:
            halved = plane.reduce(2).resize(plane.size, Image.Resampling.BILINEAR)
            changed += sum(ImageChops.difference(plane, halved).histogram()[_VISIBLE:])
    share = changed / pixels
    return share > _EDGES or (share > _FEWEST_EDGES and share > _DETAIL_EDGES * (1 - flatness(image)))


def is_drawing(image: Image.Image) -> bool:
    """Whether an image (L, LA, RGB, RGBA) looks drawn, as screenshots, logos and diagrams do.

    In colour: over 10 % of it is flat, and it has few colours for its pixels. In grey, which always has few: over 60 %.
    """
    if image.mode in ("L", "LA"):
        return flatness(image) > _FLAT
    least, most = _FEW_COLORS
    few = min(most, max(least, round(_FEW_COLORS_SHARE * image.width * image.height)))
    return image.getcolors(few) is not None and flatness(image) > _PARTLY_FLAT


def flatness(image: Image.Image) -> float:
    """Returns the share of pixels that are equal to their left, or to their upper neighbours: the lesser of both."""
    return min(_share_of_equals(image, 1, 0), _share_of_equals(image, 0, 1))


def _share_of_equals(image: Image.Image, across: int, down: int) -> float:
    same = pixels = 0
    for strip in strips(image):
        width, height = strip.width - across, strip.height - down
        if width and height:
            neighbours = strip.crop((across, down, *strip.size)), strip.crop((0, 0, width, height))
            same += reduce(ImageChops.lighter, ImageChops.difference(*neighbours).split()).histogram()[0]
            pixels += width * height
    return same / max(1, pixels)
