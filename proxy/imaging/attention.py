"""Finds the most striking part of an image, for sizes with `position = "attention"`."""

from PIL import Image

from proxy.imaging import vips
from proxy.imaging.alpha import unpremultiply
from proxy.imaging.color import to_srgb
from proxy.imaging.decode import Original
from proxy.imaging.encode import flatten
from proxy.imaging.resize import CENTER, place
from proxy.imaging.target import Target
from proxy.model import Fit

_SIDE = 256
"""Pixels of the longer side of the image that is searched. libvips scales it to 32x32, so more would change nothing."""
_HIDDEN = "#000000"  # libvips looks for edges, saturated colours and skin: black has none of them


def attention_point(original: Original, target: Target) -> tuple[float, float]:
    """Returns the point that a crop to `target` should have in its middle, in shares of the upright image's sides.

    It depends on the crop's aspect ratio: libvips looks for the middle of an area, which is as large as the crop.
    """
    image = _preview(original)
    box = place(image.size, target.width, target.height, Fit.COVER).box
    width, height = round(box[2] - box[0]), round(box[3] - box[1])
    if (width, height) == image.size:
        return CENTER
    x, y = vips.attention(image, max(1, width), max(1, height))
    return (x + 0.5) / image.width, (y + 0.5) / image.height


def _preview(original: Original) -> Image.Image:
    """Returns a small upright image in opaque sRGB."""
    pixels = original.pixels
    scale = min(1, _SIDE / max(pixels.size))
    size = max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale))
    small = to_srgb(unpremultiply(pixels.resize(size, Image.Resampling.BOX)), original.profile)
    return flatten(original.turn_upright(small), _HIDDEN).convert("RGB")
