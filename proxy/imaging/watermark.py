"""Draws a watermark over a finished variant: the last step before the encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image

from proxy.errors import Refused, TooHeavy
from proxy.imaging.alpha import drop_redundant_channels, premultiply, unpremultiply
from proxy.imaging.color import to_exact_space
from proxy.imaging.decode import decode
from proxy.imaging.limits import Limits
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.resize import decode_tier
from proxy.imaging.target import Target
from proxy.model import Watermark, WatermarkPosition

MARGIN = 0.025
"""Distance between the variant's edges and the watermark, as a fraction of the variant's shorter side."""

Watermarks = Mapping[str, OriginalFile]
"""The files, by the digests that `Watermark` has."""

NO_WATERMARKS: Watermarks = MappingProxyType({})

_LIMITS = Limits(1, 1 << 16)  # settings have checked the sides
_REDUCING_GAP = 2.0  # as for variants


@dataclass(frozen=True, slots=True)
class Overlay:
    """A watermark as it is drawn on variants of one size in pixels: RGBA in their space, with its opacity."""

    pixels: Image.Image
    left: int
    top: int


def prepare_overlay(watermarks: Watermarks, target: Target, canvas: tuple[int, int]) -> Overlay | None:
    """Scales the target's watermark for variants of `canvas` pixels, in the target's colour space; None without one.

    Raises Undecodable for a damaged file, and TooHeavy.
    """
    watermark = target.watermark
    if watermark is None:
        return None
    original = decode(watermarks[watermark.digest], decode_tier(*canvas), _LIMITS)
    size, (left, top) = place_watermark(original.upright_size, watermark, canvas)
    stored = size[::-1] if original.is_sideways else size
    # One name, so that no step holds the image before it in memory.
    pixels = premultiply(original.pixels)
    pixels = pixels.resize(stored, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    pixels = to_exact_space(unpremultiply(pixels), original.profile, target.color_space)
    pixels = original.turn_upright(pixels).convert("RGBA")
    pixels.putalpha(pixels.getchannel("A").point([round(alpha * watermark.opacity) for alpha in range(256)]))
    return Overlay(pixels, left, top)


def find_damaged(watermarks: Watermarks) -> str | None:
    """Decodes all files. Returns the digest of the first that cannot be decoded.

    A file that needs more memory than the process has is not damaged: variants with it are refused as too heavy.
    """
    for digest, file in watermarks.items():
        try:
            decode(file, decode_tier(None, None), _LIMITS)
        except TooHeavy:
            continue
        except Refused:
            return digest
    return None


def place_watermark(
    file: tuple[int, int], watermark: Watermark, canvas: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the watermark's size and its upper left corner on a variant, in pixels.

    `file`: the sides of the watermark's file, whose aspect ratio is kept. The watermark is smaller than its `width`
    says where the variant is too low for it.
    """
    margin = round(MARGIN * min(canvas))
    room = canvas[0] - 2 * margin, canvas[1] - 2 * margin
    scale = min(watermark.width * canvas[0] / file[0], room[0] / file[0], room[1] / file[1])
    size = max(1, round(file[0] * scale)), max(1, round(file[1] * scale))
    across = _share_before(watermark.position, "left", "right")
    down = _share_before(watermark.position, "top", "bottom")
    return size, (margin + int((room[0] - size[0]) * across), margin + int((room[1] - size[1]) * down))


def _share_before(position: WatermarkPosition, start: str, end: str) -> float:
    """Returns the share of the free space before the watermark, by the sides that its position names."""
    return 0.0 if start in position else 1.0 if end in position else 0.5


def draw(image: Image.Image, overlay: Overlay | None) -> Image.Image:
    """Returns `image` (L, LA, RGB or RGBA) with the overlay over it; unchanged without one."""
    if overlay is None:
        return image
    canvas = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
    corner = overlay.left, overlay.top
    below = canvas.crop((*corner, overlay.left + overlay.pixels.width, overlay.top + overlay.pixels.height))
    canvas.paste(Image.alpha_composite(below.convert("RGBA"), overlay.pixels).convert(canvas.mode), corner)
    return drop_redundant_channels(canvas)
