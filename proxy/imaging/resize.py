"""Geometry: which part of an original a target shows, and at which scale to decode it. No pixels."""

from dataclasses import dataclass

from proxy.model import Fit

DECODE_TIER = 800
"""The lowest decode tier, in pixels. Targets of a tier share one decode: those up to this side, those up to twice this
side, and so on. So a warm-up decodes once or twice for all standard sizes, a single request renders the same bytes, and
a new size changes no other."""

SMALL_TIER = 400
"""The tier of targets up to this side, of originals that decoders scale cheaply (`Header.is_scaled_cheaply`). It saves
up to half of their time. A warm-up decodes once more for it, and saves as much by smaller resizes
(docs/decisions/0003-pipeline.md)."""

JPEG_MARGIN = 1.25
"""A JPEG that is decoded at a half, a quarter or an eighth keeps at least this many pixels for each pixel of the tier,
as input for Lanczos. With 1.28 times the pixels SSIMULACRA2 is 86 to 94 against a full decode, in half the time; with
1.5, 92 to 96 (docs/decisions/0003-pipeline.md)."""

SMALL_MARGIN = 1.5
"""The same as `JPEG_MARGIN`, for `SMALL_TIER`, which takes less time."""

WEBP_MARGIN = 1.5
"""The same as `JPEG_MARGIN`, for WebP; libwebp's scaling blurs a little."""

_WORTH_SCALING = 2 / 3  # a scale above saves little time, and blurs

REDUCED_MARGIN = 2.0
"""The same as `JPEG_MARGIN`, for means over squares, which blur more: with 2 to 2.5 times the pixels SSIMULACRA2 is 92
to 97, with 1.77 it is 83."""

MAX_WHOLE_PIXELS = 800 * 800
"""The quality search encodes only the middle of larger variants, so that AVIF at @3x keeps its deadline."""

MIDDLE_SIDE = 640
"""The side of that middle in pixels, if the variant is that wide and high."""

CENTER = 0.5, 0.5

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The part `box` of the source, scaled to `scaled` pixels, in the middle of `width` x `height`."""

    width: int
    height: int
    box: Box
    scaled: tuple[int, int]


def place(
    source: tuple[int, int],
    width: int | None,
    height: int | None,
    fit: Fit,
    *,
    enlarge: bool = True,
    around: tuple[float, float] = CENTER,
) -> Placement:
    """Returns which part of a source of `source` pixels a target shows, and its size in pixels.

    A `width` or `height` of None follows from the other side. Without `enlarge`, a source that is too small for `cover`
    gives its largest part of the target's aspect ratio, and for `pad` keeps its size.

    `around`: the point, in shares of the source's sides, that is in the middle of what `cover` shows, or as near to it
    as the source's edges allow.
    """
    source_width, source_height = source
    if fit is Fit.COVER:
        assert width is not None  # settings reject `cover` with an open side
        assert height is not None
        scale = max(width / source_width, height / source_height)
        crop_width, crop_height = min(width / scale, source_width), min(height / scale, source_height)
        whole = scale > 1 and not enlarge  # whole pixels, which stay as they are
        if whole:
            crop_width, crop_height = width, height = max(1, round(crop_width)), max(1, round(crop_height))
        left = min(max(0.0, source_width * around[0] - crop_width / 2), source_width - crop_width)
        top = min(max(0.0, source_height * around[1] - crop_height / 2), source_height - crop_height)
        if whole:
            left, top = int(left), int(top)
        return Placement(width, height, (left, top, left + crop_width, top + crop_height), (width, height))
    scale = min(
        width / source_width if width else 1.0,
        height / source_height if height else 1.0,
    )
    if fit is Fit.INSIDE or not enlarge:
        scale = min(scale, 1.0)
    scaled = max(1, round(source_width * scale)), max(1, round(source_height * scale))
    sides = (width or scaled[0], height or scaled[1]) if fit is Fit.PAD else scaled
    return Placement(*sides, (0, 0, source_width, source_height), scaled)


def decode_tier(width: int | None, height: int | None, *, scaled_cheaply: bool = False) -> int:
    """Returns the tier of a target: a side in pixels, at least as long as the target's.

    Targets of a tier share a decode. `scaled_cheaply`: of the original, as its header says.
    """
    tier = SMALL_TIER if scaled_cheaply else DECODE_TIER
    while tier < max(width or 0, height or 0):
        tier *= 2
    return tier


def decode_size(source: tuple[int, int], tier: int) -> tuple[int, int]:
    """Returns the smallest width and height, in pixels, at which a JPEG of `source` pixels may be decoded for `tier`.

    `tier`: a side in pixels, from `decode_tier`.
    """
    margin = SMALL_MARGIN if tier == SMALL_TIER else JPEG_MARGIN
    scale = min(1.0, margin * tier / min(source))
    return max(1, int(source[0] * scale)), max(1, int(source[1] * scale))


def decode_scale(source: tuple[int, int], tier: int) -> float:
    """Returns the scale, at most 1, at which libwebp decodes `source` pixels for a tier of `tier` pixels."""
    scale = WEBP_MARGIN * tier / min(source)
    return scale if scale < _WORTH_SCALING else 1.0


def reduction_factor(source: tuple[int, int], tier: int) -> int:
    """Returns the integer by which the sides of `source`, in pixels, may be divided for a tier of `tier` pixels."""
    return max(1, int(min(source) / (REDUCED_MARGIN * tier)))
