"""From an original to its variants, in named steps.

    open_picture   header only; limits judged                              (probe)
    decode         EXIF; pixels at a reduced scale, in plain channels      (decoding, vips, channels)
    resize         one Lanczos pass over the visible part, alpha premultiplied
    to_srgb, without_useless_channels, turn_upright: on the small picture, where it is cheap
    encode, at a quality that is given or searched for                      (codecs, tuning)

A single variant and all of them take the same way, so a warmed variant and a requested one are the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from PIL import Image

from proxy.imaging import vips
from proxy.imaging.alpha import premultiply, unpremultiply, without_useless_channels
from proxy.imaging.color import to_srgb
from proxy.imaging.decode import Original, decode
from proxy.imaging.encode import encode
from proxy.imaging.limits import Limits
from proxy.imaging.resize import Box, decode_tier, place
from proxy.imaging.target import Measured, Target

REDUCING_GAP = 2.0
"""How much of a strong reduction a box filter may do before Lanczos: invisible at 2 (Pillow documents 3 as exact)."""


@dataclass(slots=True)
class Rendered:
    """One finished file. `timings` are seconds by stage (decode, resize, encode), of this file's own share.

    `measured` is None where the quality was given.
    """

    index: int
    body: bytes
    width: int
    height: int
    timings: dict[str, float] = field(default_factory=dict)
    measured: Measured | None = None


def render(path: Path, targets: Sequence[Target], limits: Limits) -> Iterator[Rendered]:
    """Every target of the picture at `path`, each as soon as it is ready; the picture is decoded once for each tier.

    Raises UnsupportedFormat, Undecodable, TooSmall or TooManyPixels.
    """
    tier = shape = None
    for index, target in sorted(enumerate(targets), key=lambda item: _shape(item[1])):
        timings: dict[str, float] = {}
        if tier != (tier := decode_tier(target.width, target.height)):
            with timed(timings, "decode"):
                original = decode(path, tier, limits)
        if shape != (shape := _shape(target)):
            with timed(timings, "resize"):
                picture = resize(original, target)
        with timed(timings, "encode"):
            exif = original.exif_bytes() if target.keep_exif else None
            body, measured = encode_as_wanted(picture, target, exif)
        yield Rendered(index, body, picture.width, picture.height, timings, measured)


def resize(original: Original, target: Target) -> Image.Image:
    """The target's pixels, upright, in 8-bit sRGB or grey."""
    width, height = (target.height, target.width) if original.sideways else (target.width, target.height)
    placement = place(original.size, width, height, target.fit)
    pixels, (across, down) = original.pixels, original.scale
    left, top, right, bottom = placement.box
    box = (left * across, top * down, min(right * across, pixels.width), min(bottom * down, pixels.height))
    small = _lanczos(pixels, placement.width, placement.height, box)
    small = without_useless_channels(to_srgb(unpremultiply(small), original.profile))
    return original.turn_upright(small)


def encode_as_wanted(picture: Image.Image, target: Target, exif: bytes | None) -> tuple[bytes, Measured | None]:
    """The file, and what was measured where its quality was searched for."""
    if target.score is None:
        return encode(picture, target, exif), None
    # numpy takes a tenth of a second to import, and 20 MB: only render processes that search pay for it.
    from proxy.imaging.auto_quality.search import tuned  # noqa: PLC0415 - see above

    return tuned(picture, target, exif)


def _lanczos(pixels: Image.Image, width: int, height: int, box: Box) -> Image.Image:
    if pixels.size == (width, height) and box == (0.0, 0.0, float(width), float(height)):
        return pixels  # as it is, also what is transparent
    pixels = premultiply(pixels)
    resized = vips.resize(pixels, width, height, box)
    if resized is None:
        resized = pixels.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)
    return resized


def _shape(target: Target) -> tuple[int, int, int, str]:
    """Targets of one shape share their pixels; they are sorted by it, largest tier last."""
    width, height = target.width or 0, target.height or 0
    return decode_tier(target.width, target.height), width, height, target.fit


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    yield
    timings[stage] = perf_counter() - start
