"""`quality = "auto"`: finds the lowest quality at which a lossy file of this image reaches the score of its target.

The search is limited by encodes, not by time, so that every process renders the same bytes. Its limits and its
performance: docs/decisions/0010-quality-auto.md.
"""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

from PIL import Image

from proxy.imaging.auto_quality.ssimulacra2 import MIN_SIDE, Reference
from proxy.imaging.encode import encode, flatten
from proxy.imaging.resize import MAX_WHOLE_PIXELS, MIDDLE_SIDE
from proxy.imaging.target import Measured, Target
from proxy.model import ColorSpace, Format

QUALITIES = range(40, 96)
"""The range of the search. Below, all formats look bad; above, files grow without a visible gain."""

MAX_ENCODES = 8
"""Bisection always takes 6 for 56 qualities; interpolation, with two to spare, takes 3.7 on average."""

POINTS_PER_STEP = 0.5
"""The assumed score of one step of quality, for the second try: about the median of all formats near their fixed
qualities."""

MIN_GAIN = 2.0
"""Points that a higher quality must gain if no quality reaches the score. Coloured lettering looks smeared at every
quality, because chroma subsampling drops three quarters of its colour before the encoder begins."""

_BLOCK = 16  # pixels; the middle starts at a multiple, so that its JPEG blocks are those of the whole file


def encode_with_search(image: Image.Image, target: Target, exif: bytes | None) -> tuple[bytes, Measured | None]:
    """Encodes `image` (L, LA, RGB, RGBA) in the lossy format of `target`. Returns the file and its measured quality.

    An image that is too small to be measured gets the target's own quality, and None as the measurement.
    """
    assert target.quality is not None  # only targets of lossy formats have a score
    assert target.score is not None
    if min(image.size) < MIN_SIDE:
        return encode(image, target, exif), None
    if target.format is Format.JPG:
        image = flatten(image, target.background)
    part = _searched_part(image)
    views = _Views(part, target.color_space)
    files: dict[int, tuple[bytes, float]] = {}

    def score(quality: int) -> float:
        file = encode(part, replace(target, quality=quality), exif)
        files[quality] = file, views.score(_decode(file))
        return files[quality][1]

    quality = find_lowest_quality(score, target.score, first=target.quality)
    if files[quality][1] < target.score:
        best = max(found for _, found in files.values())
        quality = min(tried for tried, (_, found) in files.items() if found > best - MIN_GAIN)
    file, found = files[quality]
    if part.size != image.size:
        file = encode(image, replace(target, quality=quality), exif)
        found = views.score(_searched_part(_decode(file)))
    return file, Measured(quality, found)


def find_lowest_quality(score: Callable[[int], float], wanted: float, first: int) -> int:
    """Returns the lowest of QUALITIES whose score is at least `wanted`, or the highest if none is.

    Tries `first` first. Assumes that scores rise with quality. Interpolates linearly between two known qualities, but
    never so close to one of them that the search could take more than MAX_ENCODES.
    """
    low, high = QUALITIES.start - 1, QUALITIES.stop
    low_score = high_score = None
    guess = float(first)
    for left in reversed(range(MAX_ENCODES)):
        if high - low == 1:
            break
        if low_score is not None and high_score is not None:
            guess = low + (high - low) * (wanted - low_score) / (high_score - low_score)
        elif low_score is not None:
            guess = low + (wanted - low_score) / POINTS_PER_STEP
        elif high_score is not None:
            guess = high - (high_score - wanted) / POINTS_PER_STEP
        reach = 1 << left
        quality = min(max(round(guess), low + 1, high - reach), high - 1, low + reach)
        found = score(quality)
        if found >= wanted:
            high, high_score = quality, found
        else:
            low, low_score = quality, found
    return min(high, QUALITIES[-1])


class _Views:
    """The views of an image that are scored: with alpha, one over black and one over white."""

    def __init__(self, image: Image.Image, space: ColorSpace) -> None:
        self._mode = "RGBA" if image.mode in ("LA", "RGBA") else "RGB"
        self._references = [Reference(view, space) for view in self._views(image)]

    def score(self, other: Image.Image) -> float:
        """Returns the score of the least similar view."""
        pairs = zip(self._references, self._views(other), strict=True)
        return min(reference.score(view) for reference, view in pairs)

    def _views(self, image: Image.Image) -> list[Image.Image]:
        image = image.convert(self._mode)
        return [image] if self._mode == "RGB" else [flatten(image, color) for color in ("#000000", "#ffffff")]


def _searched_part(image: Image.Image) -> Image.Image:
    """Returns the part to measure: all of a small image, or as many pixels from the middle of a large one."""
    width, height = image.size
    if width * height <= MAX_WHOLE_PIXELS:
        return image
    across = min(width, max(MIDDLE_SIDE, MIDDLE_SIDE * MIDDLE_SIDE // height))
    down = min(height, max(MIDDLE_SIDE, MIDDLE_SIDE * MIDDLE_SIDE // width))
    left, top = ((side - part) // 2 // _BLOCK * _BLOCK for side, part in ((width, across), (height, down)))
    return image.crop((left, top, left + across, top + down))


def _decode(file: bytes) -> Image.Image:
    with Image.open(BytesIO(file)) as image:
        image.load()
        return image
