"""What an image shows, judged by strips of its rows: the encoders choose by it. Figures: docs/decisions/0033."""

from collections.abc import Iterator

from PIL import Image, ImageChops

_STRIPS, _ROWS = 8, 16
_BAND = 64  # rows
_VISIBLE = 32  # levels by which a halved chroma plane differs: coloured text, seldom anything in photographs
_EDGES = 0.01  # the share of such pixels from which 4:4:4 takes fewer bytes at an equal score than 4:2:0


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
    return changed > _EDGES * pixels
