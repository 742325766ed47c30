"""What a derivation takes of memory, worked out from the original's header before anything is decoded.

All figures are upper bounds of what `python -m benchmarks.memory` measures: the peak of a render process above what it
holds at rest. After a change of decoders or encoders run it again, and mend the tables here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from proxy.imaging.geometry import DECODE_TIER, decode_size, decode_tier, place
from proxy.imaging.header import Header
from proxy.imaging.pipeline import REDUCING_GAP
from proxy.imaging.target import Target
from proxy.model import Format


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes for each decoded pixel, at the peak of decoding and reducing; for each byte of the file; and, for each
    pixel, what is `kept` while the next tier is decoded.
    """

    pixel: float
    file: float = 0
    kept: float = 4


RATES = {
    # Pillow. RGB takes four bytes a pixel there. What has alpha is copied, premultiplied, before it is reduced.
    "jpeg": Rate(4, file=1),  # of the scaled picture; the file is mapped to count its scans
    "jpeg grey": Rate(1, file=1),
    "png bitmap": Rate(2),
    "png bitmap key": Rate(8),
    "png grey": Rate(1),
    "png grey key": Rate(8),
    "png grey16": Rate(7),
    "png grey16 key": Rate(12),
    "png palette": Rate(5),
    "png palette key": Rate(8),
    "png rgb": Rate(4),
    "png rgb key": Rate(8),
    "png alpha": Rate(8),
    # Pillow over libwebp's animation decoder: two canvases, their bytes and the picture, four bytes a pixel each.
    "webp": Rate(16, file=2, kept=13),
    "webp alpha": Rate(16, file=2, kept=13),
}

ENCODERS = {Format.JPG: (15, 15), Format.PNG: (15, 15), Format.WEBP: (20, 35), Format.AVIF: (39, 44)}
"""Bytes for each pixel of a variant while it is converted and encoded: without alpha, and with it."""

BASE = 16 << 20
"""Bytes: codecs that are loaded on their first use, tables, small pictures."""

_PLAIN = 4  # bytes of a pixel, once decoded


def estimate(header: Header, file_bytes: int, targets: Sequence[Target]) -> int:
    """Bytes that a render process takes, above what it holds at rest, to make `targets` of one original.

    Without targets: to inspect it.
    """
    rate = RATES[header.kind]
    *others, last = sorted({decode_tier(target.width, target.height) for target in targets}) or [DECODE_TIER]
    pixels = rate.pixel * _pixels(header, last) + sum(rate.kept * _pixels(header, tier) for tier in others)
    beside = max(header.coefficients, rate.file * file_bytes)  # the file is closed before coefficients are kept
    return ceil(BASE + pixels + beside + max((_making(header, target) for target in targets), default=0))


def _pixels(header: Header, tier: int) -> int:
    width, height = decoded_size(header, tier)
    return width * height


def decoded_size(header: Header, tier: int) -> tuple[int, int]:
    """Sides after decoding for a tier: JPEG is scaled meanwhile, by 1, 2, 4 or 8, to no less than the tier needs."""
    scale = 1
    if header.kind.startswith("jpeg"):
        needed = decode_size((header.width, header.height), tier)
        least = min(header.width // needed[0], header.height // needed[1])
        scale = max(each for each in (1, 2, 4, 8) if each <= max(1, least))
    return ceil(header.width / scale), ceil(header.height / scale)


def _making(header: Header, target: Target) -> float:
    """Of one variant: to resize or to encode, whichever takes more. Nobody knows yet if the original is sideways."""
    return max(_resize_and_encode(header, target, sideways=sideways) for sideways in (False, True))


def _resize_and_encode(header: Header, target: Target, *, sideways: bool) -> float:
    wanted = (target.height, target.width) if sideways else (target.width, target.height)
    placement = place((header.width, header.height), *wanted, target.fit)
    decoded = decoded_size(header, decode_tier(target.width, target.height))
    left, top, right, bottom = placement.box
    width, height = decoded[0] * (right - left) / header.width, decoded[1] * (bottom - top) / header.height
    by_x = max(1, int(width / placement.width / REDUCING_GAP))
    by_y = max(1, int(height / placement.height / REDUCING_GAP))
    reduced = width / by_x * height / by_y if max(by_x, by_y) > 1 else 0
    narrowed = placement.width * height / by_y  # Pillow resizes across, then down
    pixels = placement.width * placement.height
    return max(_PLAIN * (reduced + narrowed + pixels), ENCODERS[target.format][header.alpha] * pixels)
