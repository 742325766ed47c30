"""What an image shows, judged by strips of its rows: the encoders choose by it. Figures: docs/decisions/0033."""

from collections.abc import Iterator
from functools import reduce

from PIL import Image, ImageChops

_STRIPS, _ROWS = 8, 16
_BAND = 64  # rows
_VISIBLE = 32  # levels by which a halved chroma plane differs: coloured text, seldom anything in photographs
_EDGES, _DETAIL_EDGES = 0.01, 0.03  # the share of such pixels, of all and of those that are not flat, that needs 4:4:4
_FLAT = 0.6  # photographs have up to 0.45, with a clear sky
_PARTLY_FLAT = 0.2  # drawings that were scaled down; dithered images have less
_FEW_COLORS, _FEW_COLORS_SHARE = 4096, 0.03  # at most; photographs have a number of 0.05 to 0.6 of their pixels


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
    return changed > min(_EDGES, _DETAIL_EDGES * (1 - flatness(image))) * pixels


def is_drawing(image: Image.Image) -> bool:
    """Whether an image (L, LA, RGB, RGBA) looks drawn, as screenshots, logos and diagrams do: most of it is flat, or a
    part of it, and it has few colours for its pixels.
    """
    flat = flatness(image)
    if flat < _PARTLY_FLAT or flat > _FLAT:
        return flat > _FLAT
    few = min(_FEW_COLORS, round(_FEW_COLORS_SHARE * image.width * image.height))
    return image.mode in ("RGB", "RGBA") and image.getcolors(few) is not None


def flatness(image: Image.Image) -> float:
    """Returns the share of pixels that are equal to their left neighbours, 0 to 1."""
    same = pixels = 0
    for strip in strips(image):
        moved = ImageChops.difference(
            strip.crop((1, 0, *strip.size)), strip.crop((0, 0, strip.width - 1, strip.height))
        )
        differs = reduce(ImageChops.lighter, moved.split())
        same += differs.histogram()[0]
        pixels += differs.width * differs.height
    return same / max(1, pixels)
