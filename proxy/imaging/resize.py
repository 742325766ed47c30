"""Which part of a picture becomes which pixels. Numbers only."""

from dataclasses import dataclass

from proxy.model import Fit

DECODE_TIER = 800
"""Pixels. Targets up to this side share one decode, larger ones share the next doubling: so a warm-up decodes once for
all standard sizes, a single request makes the same bytes, and a new size leaves the others' bytes alone."""

JPEG_MARGIN = 1.25
"""JPEG's scaled decode, by a half, a quarter or an eighth, keeps at least this many pixels for each pixel of the tier,
so that Lanczos has something to weigh. With 1.28 times the pixels SSIMULACRA2 is 86 to 94 against a full decode, in
half of its time; with 1.5, 92 to 96 (docs/decisions/0003-pipeline.md)."""

WEBP_MARGIN = 1.5
"""The same for WebP, whose scaling blurs a little."""

_WORTH_SCALING = 2 / 3  # less saves little and blurs

REDUCED_MARGIN = 2.0
"""The same for means over squares, which blur more: with 2 to 2.5 times the pixels SSIMULACRA2 is 92 to 97, with 1.77
it fell to 83."""

WHOLE = 800 * 800
"""Pixels. Of larger variants only the middle is searched for a quality, so that AVIF at @3x keeps its deadline."""

MIDDLE = 640
"""Its side, in pixels, where the variant is that wide and high."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Scale the part `box` of the source to `width` x `height`."""

    width: int
    height: int
    box: Box


def place(source: tuple[int, int], width: int | None, height: int | None, fit: Fit) -> Placement:
    """Where a target lies in a source of `source` pixels, both upright."""
    source_width, source_height = source
    if fit is Fit.COVER:
        assert width is not None  # settings refuse a cover with an open side
        assert height is not None
        scale = max(width / source_width, height / source_height)
        crop_width, crop_height = min(width / scale, source_width), min(height / scale, source_height)
        left, top = (source_width - crop_width) / 2, (source_height - crop_height) / 2
        return Placement(width, height, (left, top, left + crop_width, top + crop_height))
    scale = min(
        1.0,
        width / source_width if width else 1.0,
        height / source_height if height else 1.0,
    )
    return Placement(
        max(1, round(source_width * scale)), max(1, round(source_height * scale)), (0, 0, source_width, source_height)
    )


def decode_tier(width: int | None, height: int | None) -> int:
    """The shared decode that a target belongs to, as the side of the square that it can cover."""
    tier = DECODE_TIER
    while tier < max(width or 0, height or 0):
        tier *= 2
    return tier


def decode_size(source: tuple[int, int], tier: int) -> tuple[int, int]:
    """The least size, in pixels, at which to decode `source` for a tier."""
    scale = min(1.0, JPEG_MARGIN * tier / min(source))
    return max(1, int(source[0] * scale)), max(1, int(source[1] * scale))


def decode_scale(source: tuple[int, int], tier: int) -> float:
    """The scale, at most 1, at which a codec that scales freely should decode `source`, in pixels, for a tier."""
    scale = WEBP_MARGIN * tier / min(source)
    return scale if scale < _WORTH_SCALING else 1.0


def reduction(source: tuple[int, int], tier: int) -> int:
    """The whole number by which the sides of `source`, in pixels, may be divided for a tier."""
    return max(1, int(min(source) / (REDUCED_MARGIN * tier)))
