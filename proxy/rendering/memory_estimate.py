"""Estimates the memory that a derivation needs from the original's header, before anything is decoded.

All figures are upper bounds of what `python -m benchmarks.memory` measures: the peak of a render worker above what it
holds while idle. Run it again after a change of decoders or encoders, and correct the tables here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from proxy.imaging.animation.animation_limits import is_played
from proxy.imaging.decode import BAND
from proxy.imaging.encode import MAX_SLOW_PIXELS
from proxy.imaging.header import Header
from proxy.imaging.pipeline import REDUCING_GAP
from proxy.imaging.resize import (
    DECODE_TIER,
    MAX_WHOLE_PIXELS,
    MIDDLE_SIDE,
    decode_scale,
    decode_size,
    decode_tier,
    place,
    reduction_factor,
)
from proxy.imaging.target import Target
from proxy.model import Fit, Format, Position


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes that a decoder of whole images needs.

    Without a reduction: `pixel` for each pixel. With one: `stored` for each pixel that the decoder holds, and `band`
    for each pixel of the rows that are reduced at a time. `file`: for each byte of the file. `kept`: for each pixel,
    while the next tier is decoded.
    """

    pixel: float
    stored: float = 4
    band: float = 0
    file: float = 0
    kept: float = 4


PILLOW = {
    # A PNG is copied, reduced to its pixels. RGB takes four bytes a pixel. Images with alpha are premultiplied, in a
    # copy, before the reduction.
    "jpeg": Rate(4, file=2),  # of the scaled image; the file is mapped to count its scans, and may be copied
    "jpeg grey": Rate(1, file=2),
    "png bitmap": Rate(2, 1, 2, file=1),
    "png bitmap key": Rate(8, 1, 9, file=1),
    "png grey": Rate(1, 1, 2, file=1),
    "png grey key": Rate(8, 1, 9, file=1),
    "png palette": Rate(5, 1, 6, file=1),
    "png palette key": Rate(8, 1, 10, file=1),
    "png rgb": Rate(4, 4, 6, file=1),
    "png rgb key": Rate(8, 4, 12, file=1),
    "png grey alpha": Rate(8, 4, 8, file=1),
    "png alpha": Rate(8, 4, 8, file=1),
    # 16 bits are always converted in bands. Colours are held twice: the upper bytes and the lower ones.
    "png grey16": Rate(4, 2, 18, file=1),
    "png grey16 key": Rate(4, 2, 30, file=1),
    "png grey alpha16": Rate(4, 4, 36, file=1),
    "png rgb16": Rate(4, 8, 40, file=1),
    "png rgb16 key": Rate(4, 8, 48, file=1),
    "png alpha16": Rate(4, 8, 48, file=1),
    # Pillow uses libwebp's animation decoder: two canvases, their bytes and the image, four bytes a pixel each.
    **{
        f"webp {kind}": Rate(16, 16, file=2, kept=13)
        for coding in ("lossy", "lossless", "animated")
        for kind in (coding, f"{coding} alpha")
    },
    # A GIF's palette becomes four bytes a pixel. A frame smaller than the screen is copied (`Header.extra_bytes`).
    "gif key": Rate(8, 1, 10, file=1),
    # libtiff holds a strip (`Header.extra_bytes`), Pillow the whole file.
    "tiff grey": Rate(2, 1, 2, file=1),
    "tiff palette": Rate(5, 1, 6, file=1),
    "tiff rgb": Rate(4, 4, 6, file=1),
    "tiff alpha": Rate(8, 4, 8, file=1),
    "tiff cmyk": Rate(4, 4, 8, file=1),
    "tiff grey16": Rate(4, 2, 18, file=1),
    "tiff rgb16": Rate(4, 8, 40, file=1),
    "tiff alpha16": Rate(4, 8, 48, file=1),
    "tiff cmyk16": Rate(4, 4, 8, file=1),
    # Planes, RGB(A) of the decoder, its copy as bytes, and the image; `Header.extra_bytes` for more than 8 bits.
    "avif": Rate(14, 11, 6, file=2),
    "avif alpha": Rate(18, 14, 8, file=2),
    "heic": Rate(14, 10, 6, file=2),
    "heic alpha": Rate(18, 13, 8, file=2),
}


@dataclass(frozen=True, slots=True)
class BandedRate:
    """Bytes that a decoder of bands of rows needs.

    `pixel`: for each decoded pixel, including Pillow's copy. `row`: for each pixel of a row of the file, times the
    reduction factor. `interlaced`: for each pixel of an interlaced file. `stored`: for each pixel of any file. `file`:
    for each byte of the file.
    """

    pixel: float
    row: float
    interlaced: float = 0
    stored: float = 0
    file: float = 0


LIBVIPS = {
    # PNG: the file, reduced to its pixels, is held by Pillow and by libvips. Bands of one to four bytes a pixel, and
    # twice that during the reduction.
    "png bitmap": BandedRate(3, 240, interlaced=1, file=2),
    "png grey": BandedRate(3, 240, interlaced=1, file=2),
    **dict.fromkeys(("png bitmap key", "png grey key", "png grey alpha"), BandedRate(9, 420, interlaced=2, file=2)),
    **dict.fromkeys(("png palette", "png rgb"), BandedRate(7.5, 780, interlaced=3, file=2)),
    **dict.fromkeys(("png palette key", "png rgb key", "png alpha"), BandedRate(10, 1080, interlaced=4, file=2)),
    # WebP: libwebp scales opaque lossy images row by row, but holds all of lossless ones. Lossy ones with alpha are
    # decoded whole, and then reduced. The file counts twice: Pillow reads it for its header, and libvips maps it.
    "webp lossy": BandedRate(14, 2500, file=2),
    "webp lossy alpha": BandedRate(14, 1500, stored=18, file=2),
    "webp lossless": BandedRate(14, 1500, stored=4, file=2),
    "webp lossless alpha": BandedRate(14, 1500, stored=4, file=2),
}
"""Only the kinds that libvips decodes."""

_SCALED = BandedRate(14, 2500, stored=2, file=2)
"""A lossy WebP with alpha that libwebp scales."""

ENCODERS = {Format.JPG: (15, 18), Format.PNG: (15, 18), Format.WEBP: (33, 55), Format.AVIF: (44, 50)}
"""Bytes for each pixel of a variant during conversion and encoding: without alpha, with alpha. WebP needs the most
for noise and without loss; photographs need two thirds of it."""

DRAWN = 40
"""Bytes for each pixel of a small AVIF besides: its encoder may look for palettes and copied blocks. Measured: 38."""

SEARCHED = 95
"""Bytes for each pixel in a search for the quality: the planes of two views, and of the encoded file."""

EFFECTS = 24
"""Bytes for each pixel of a variant that is blurred, sharpened or padded: copies. Measured: 22 with alpha, turned."""

WATERMARK = 32
"""Bytes for each pixel of a watermark's file: its decoder, and a copy. Measured: 31 for a lossy WebP with alpha, 20 for
other files."""

ATTENTION = 4 << 20
"""Bytes: what libvips needs for a small image, and keeps. Measured: 2 MiB."""

NUMPY = 16 << 20

BASE = 16 << 20
"""Bytes: codecs that are loaded on their first use, tables, small images."""

COMPOSED = 30
"""Bytes for each pixel of an animation's canvas: the canvas, the frame that is drawn on it, and copies."""

ANIMATED = (40, 60)
"""Bytes for each pixel of an animated variant, without alpha and with alpha: a frame, libwebp's two canvases and its
encoder. Measured: 16 and 31."""

ENCODED = (5, 8)
"""Bytes for each pixel of all frames together: the encoded frames, and the file twice. Measured for noise: 3.8 and 6.8.
Lossless frames of 4096 colours may take 4.5."""

FRAME = 4096
"""Bytes for each frame, whatever its size."""

_CANVASES = 8  # bytes a pixel
_PLAIN = 4  # bytes of a pixel, once decoded


def estimate(header: Header, file_bytes: int, targets: Sequence[Target], *, by_vips: bool, frames: int = 1) -> int:
    """Estimates the bytes that a render worker needs, above what it holds while idle, for `targets` of one original.

    Without targets: for its inspection. `by_vips`: whether libvips decodes the kinds that it can. `frames`: of the
    original, as `count_frames` finds them; 1 if no target is animated.
    """
    *others, last = sorted({_tier(header, target) for target in targets}) or [DECODE_TIER]
    decoding = _decoding_bytes(header, file_bytes, last, by_vips=by_vips)
    kept = sum(_kept_bytes(header, tier, by_vips=by_vips) for tier in others)
    rendering = max((_variant_bytes(header, target, by_vips=by_vips) for target in targets), default=0)
    animation = max((_animation_bytes(header, target, frames) for target in targets), default=0)
    numpy = NUMPY if any(target.score is not None for target in targets) else 0
    attention = ATTENTION if any(target.position is Position.ATTENTION for target in targets) else 0
    return ceil(BASE + decoding + kept + max(rendering, animation) + numpy + attention)


def untouched_bytes(header: Header) -> int:
    """Returns the bytes that decoding maps and never touches: they use no memory, but the kernel counts them.

    Pillow's animation decoder reserves its canvases when it opens a WebP, even if libvips decodes it afterwards.
    """
    return _CANVASES * header.width * header.height if header.kind.startswith("webp") else 0


def _decoding_bytes(header: Header, file_bytes: int, tier: int, *, by_vips: bool) -> float:
    size = header.width, header.height
    stored, pixels = header.width * header.height, _decoded_pixels(header, tier, by_vips=by_vips)
    if by_vips and (banded := LIBVIPS.get(header.kind)):
        if header.kind == "webp lossy alpha" and not header.is_decoded_whole:
            banded = _SCALED
        factor = reduction_factor(size, tier) if header.kind.startswith("png") or header.is_decoded_whole else 1
        whole = banded.stored + (banded.interlaced if header.interlaced else 0)
        return banded.pixel * pixels + banded.row * factor * header.width + whole * stored + banded.file * file_bytes
    rate = PILLOW[header.kind]
    # A JPEG is closed before coefficients are kept; strips are read from the open file.
    beside = max(header.coefficient_bytes, rate.file * file_bytes) + header.extra_bytes
    if header.kind.startswith("jpeg") or (reduction_factor(size, tier) == 1 and "16" not in header.kind):
        return rate.pixel * pixels + beside
    band = header.width * min(header.height, BAND * reduction_factor(size, tier))
    return rate.stored * stored + rate.band * band + 2 * _PLAIN * pixels + beside  # as bands, and joined


def _tier(header: Header, target: Target) -> int:
    return decode_tier(target.width, target.height, scaled_cheaply=header.is_scaled_cheaply)


def _kept_bytes(header: Header, tier: int, *, by_vips: bool) -> float:
    whole = not (by_vips and header.kind in LIBVIPS) and reduction_factor((header.width, header.height), tier) == 1
    return (PILLOW[header.kind].kept if whole else _PLAIN) * _decoded_pixels(header, tier, by_vips=by_vips)


def _decoded_pixels(header: Header, tier: int, *, by_vips: bool) -> int:
    width, height = decoded_size(header, tier, by_vips=by_vips)
    return width * height


def decoded_size(header: Header, tier: int, *, by_vips: bool) -> tuple[int, int]:
    """Returns the sides after decoding for a tier. The JPEG decoder divides them by 1, 2, 4 or 8."""
    size = header.width, header.height
    if header.kind.startswith("jpeg"):
        needed = decode_size(size, tier)
        least = min(header.width // needed[0], header.height // needed[1])
        factor: float = max(each for each in (1, 2, 4, 8) if each <= max(1, least))
    elif by_vips and header.kind in LIBVIPS and header.kind.startswith("webp") and not header.is_decoded_whole:
        factor = 1 / decode_scale(size, tier)
    else:
        factor = reduction_factor(size, tier)
    return ceil(header.width / factor), ceil(header.height / factor)


def _variant_bytes(header: Header, target: Target, *, by_vips: bool) -> float:
    """Returns the bytes for one variant: to resize or to encode it, upright or sideways, whichever takes the most."""
    return max(_variant_bytes_turned(header, target, sideways=sideways, by_vips=by_vips) for sideways in (False, True))


def _variant_bytes_turned(header: Header, target: Target, *, sideways: bool, by_vips: bool) -> float:
    wanted = (target.height, target.width) if sideways else (target.width, target.height)
    placement = place((header.width, header.height), *wanted, target.fit, enlarge=target.enlarge)
    decoded = decoded_size(header, _tier(header, target), by_vips=by_vips)
    left, top, right, bottom = placement.box
    width, height = decoded[0] * (right - left) / header.width, decoded[1] * (bottom - top) / header.height
    across, down = placement.scaled
    by_x = max(1, int(width / across / REDUCING_GAP))
    by_y = max(1, int(height / down / REDUCING_GAP))
    reduced = width / by_x * height / by_y if max(by_x, by_y) > 1 else 0
    narrowed = across * height / by_y  # Pillow resizes across, then down
    resizing = reduced + narrowed + across * down
    if by_vips and max(by_x, by_y) == 1:  # libvips may resize: it holds a copy, its own result and Pillow's
        resizing = max(resizing, decoded[0] * decoded[1] + 2 * across * down)
    pixels = placement.width * placement.height
    has_copies = target.blur is not None or target.sharpen is not None or target.fit is Fit.PAD
    effects = EFFECTS * pixels if has_copies else 0
    encoding = ENCODERS[target.format][header.has_alpha] * pixels
    if target.format is Format.AVIF and pixels <= MAX_SLOW_PIXELS:
        encoding += DRAWN * pixels
    if target.score is not None:
        encoding += SEARCHED * (pixels if pixels <= MAX_WHOLE_PIXELS else MIDDLE_SIDE * MIDDLE_SIDE)
    drawing = EFFECTS * pixels + WATERMARK * target.watermark.pixels if target.watermark else 0
    return max(_PLAIN * resizing, effects, drawing, encoding)


def _animation_bytes(header: Header, target: Target, frames: int) -> float:
    """Returns the bytes of an animation besides the pixels of its first frame; 0 if `target` shows only that frame."""
    upright = (header.width, header.height)
    played = [size for size in (upright, upright[::-1]) if is_played(size, frames, target)]
    pixels = max((_placed_pixels(size, target) for size in played), default=0)
    if not pixels:
        return 0
    frame = (ANIMATED[header.has_alpha] + EFFECTS) * pixels
    if target.watermark:
        frame += WATERMARK * target.watermark.pixels + _PLAIN * pixels
    encoded = (ENCODED[header.has_alpha] * pixels + FRAME) * frames
    return COMPOSED * header.width * header.height + frame + encoded


def _placed_pixels(size: tuple[int, int], target: Target) -> int:
    placement = place(size, target.width, target.height, target.fit, enlarge=target.enlarge)
    return placement.width * placement.height
