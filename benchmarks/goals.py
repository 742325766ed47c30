"""The goals, as ratios to sharp unless stated otherwise. Missed goals are printed bold."""

from itertools import product

from proxy.model import Format

TIME = {
    **dict.fromkeys(product(("PNG", "WebP"), Format), 1.0),
    **{
        (group, format): goal
        for group in ("JPEG", "JPEG progressive")
        for format, goal in ((Format.JPG, 0.75), (Format.WEBP, 0.9))
    },
    **{(group, Format.AVIF): 0.2 for group in ("JPEG", "JPEG progressive", "PNG", "WebP")},
}
"""By group of sources and by format."""

BYTES = {Format.JPG: 1.05, Format.PNG: 0.8, Format.WEBP: 1.0, Format.AVIF: 1.05}
ALL_VARIANTS = 0.6
"""Of sharp's time, with one decode."""

EXTREME_MIB = 150.0
"""For a 10000x10000 JPEG or PNG, in a fresh process."""

MOST_SECONDS = 5.0
"""For any derivation."""

HELP_SECONDS = 0.3
"""Seconds of processor time, for `darkroom --help`."""

READY_SECONDS = 1.5
"""Seconds of processor time, for `darkroom serve` and its render processes until they are ready."""


def equal_bytes(kind: str, format: Format) -> float | None:
    """Bytes at equal score, for a kind of image. AVIF of photographs has its goal in `BYTES`."""
    if kind != "photograph":
        return 0.6
    return {Format.JPG: 1.0, Format.WEBP: 1.0, Format.PNG: 0.8}.get(format)
