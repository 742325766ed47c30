"""`quality = "auto"`: the least quality at which a lossy file scores what its target asks for, on this very picture.

The search counts its encodes and never looks at the clock: whoever derives a variant gets the same bytes. Its bounds
and its cost: docs/decisions/0010-quality-auto.md.
"""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

from PIL import Image

from proxy.imaging.auto_quality.ssimulacra2 import MIN_SIDE, Reference
from proxy.imaging.encode import encode, flatten
from proxy.imaging.resize import MIDDLE, WHOLE
from proxy.imaging.target import Measured, Target
from proxy.model import Format

QUALITIES = range(40, 96)
"""What is searched. Below, all formats fall apart; above, bytes grow and hardly anything is seen."""

ENCODES = 8
"""At most. Halving alone takes 6 for 56 qualities, always; guessing, with two to spare, takes 3.7 on average."""

POINTS = 0.5
"""What a step of quality is worth, for the second guess: about the median of all formats near their fixed qualities."""

WORTH_BYTES = 2.0
"""Points that a higher quality must gain where none reaches the score. Coloured lettering stays smeared at every one of
them, for three quarters of its colour are gone before the encoder begins."""

_BLOCK = 16  # pixels; the middle begins with one, so that JPEG's are those of the whole file


def tuned(image: Image.Image, target: Target, exif: bytes | None) -> tuple[bytes, Measured | None]:
    """`image` (L, LA, RGB, RGBA) as a file of a lossy format, and what was measured.

    A picture too small to be measured gets the target's own quality, and nothing is said of it.
    """
    assert target.quality is not None  # a recipe gives a score to lossy formats only
    assert target.score is not None
    if min(image.size) < MIN_SIDE:
        return encode(image, target, exif), None
    if target.format is Format.JPG:
        image = flatten(image, target.background)
    part = _part(image)
    seen = _Seen(part)
    files: dict[int, tuple[bytes, float]] = {}

    def score(quality: int) -> float:
        file = encode(part, replace(target, quality=quality), exif)
        files[quality] = file, seen.score(_decoded(file))
        return files[quality][1]

    quality = least(score, target.score, first=target.quality)
    if files[quality][1] < target.score:
        best = max(found for _, found in files.values())
        quality = min(tried for tried, (_, found) in files.items() if found > best - WORTH_BYTES)
    file, found = files[quality]
    if part.size != image.size:
        file = encode(image, replace(target, quality=quality), exif)
        found = seen.score(_part(_decoded(file)))
    return file, Measured(quality, found)


def least(score: Callable[[int], float], wanted: float, first: int) -> int:
    """The least of QUALITIES whose score is at least `wanted`, or the highest where none is; `first` is tried first.

    Takes scores to rise with quality. Between two qualities that are known it follows the straight line, but always
    leaves so few on either side that halving would end within ENCODES.
    """
    below, reaching = QUALITIES.start - 1, QUALITIES.stop
    missed = reached = None
    guess = float(first)
    for left in reversed(range(ENCODES)):
        if reaching - below == 1:
            break
        if missed is not None and reached is not None:
            guess = below + (reaching - below) * (wanted - missed) / (reached - missed)
        elif missed is not None:
            guess = below + (wanted - missed) / POINTS
        elif reached is not None:
            guess = reaching - (reached - wanted) / POINTS
        room = 1 << left
        quality = min(max(round(guess), below + 1, reaching - room), reaching - 1, below + room)
        found = score(quality)
        if found >= wanted:
            reaching, reached = quality, found
        else:
            below, missed = quality, found
    return min(reaching, QUALITIES[-1])


class _Seen:
    """A picture as it is seen: where it is partly transparent, both over black and over white."""

    def __init__(self, image: Image.Image) -> None:
        self._mode = "RGBA" if image.mode in ("LA", "RGBA") else "RGB"
        self._references = [Reference(view) for view in self._views(image)]

    def score(self, other: Image.Image) -> float:
        """Of the view that is the least alike."""
        views = zip(self._references, self._views(other), strict=True)
        return min(reference.score(view) for reference, view in views)

    def _views(self, image: Image.Image) -> list[Image.Image]:
        image = image.convert(self._mode)
        return [image] if self._mode == "RGB" else [flatten(image, color) for color in ("#000000", "#ffffff")]


def _part(image: Image.Image) -> Image.Image:
    """What is searched: all of a small picture, and of a large one the middle, as many pixels in any shape."""
    width, height = image.size
    if width * height <= WHOLE:
        return image
    across = min(width, max(MIDDLE, MIDDLE * MIDDLE // height))
    down = min(height, max(MIDDLE, MIDDLE * MIDDLE // width))
    left, top = ((side - part) // 2 // _BLOCK * _BLOCK for side, part in ((width, across), (height, down)))
    return image.crop((left, top, left + across, top + down))


def _decoded(file: bytes) -> Image.Image:
    with Image.open(BytesIO(file)) as image:
        image.load()
        return image
