"""ThumbHash: a placeholder of about 25 bytes, shown before any variant arrives.

Format: Evan Wallace, https://evanw.github.io/thumbhash/. Averages and low cosine frequencies of luminance (l), two
colour differences (p: yellow-blue, q: red-green) and alpha. The libraries on PyPI fail on transparent images or
require an old Pillow, so the encoder is here; the tests compare it with one of them where that works.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import cos, floor, pi

from PIL import Image

MAX_SIDE = 100  # pixels; the format is undefined above

THUMBHASH = "^(?:[A-Za-z0-9+/]{4}){1,7}(?:[A-Za-z0-9+/]{3}[A-Za-z0-9+/=]|[A-Za-z0-9+/]{6}==)$"
"""The pattern of a ThumbHash in base64: 5 to 25 bytes. Any such bytes can be shown as an image."""


@dataclass(frozen=True, slots=True)
class _Channel:
    """`dc` is the mean; `ac` the frequencies, low first, scaled to 0..1 by the largest of them (`scale`)."""

    dc: float
    ac: list[float]
    scale: float


def thumbhash(image: Image.Image) -> bytes:
    """Returns the ThumbHash of an RGBA image of at most 100x100 pixels."""
    width, height = image.size
    assert image.mode == "RGBA"
    assert max(width, height) <= MAX_SIDE
    data = image.tobytes()
    alpha = [value / 255 for value in data[3::4]]
    opacity = sum(alpha)
    # Transparent pixels take the mean colour of the others, so that they add no edges.
    red, green, blue = (_composite_over_mean(data[band::4], alpha, opacity) for band in range(3))
    has_alpha = opacity < width * height
    limit = 5 if has_alpha else 7
    across, down = (max(1, _round(limit * side / max(width, height))) for side in (width, height))

    triples = list(zip(red, green, blue, strict=True))
    l = _frequencies([(r + g + b) / 3 for r, g, b in triples], width, max(3, across), max(3, down))  # noqa: E741 - the format's name
    p = _frequencies([(r + g) / 2 - b for r, g, b in triples], width, 3, 3)
    q = _frequencies([r - g for r, g, _ in triples], width, 3, 3)
    a = _frequencies(alpha, width, 5, 5) if has_alpha else None

    landscape = width > height
    head = (
        _round(63 * l.dc)
        | _round(31.5 + 31.5 * p.dc) << 6
        | _round(31.5 + 31.5 * q.dc) << 12
        | _round(31 * l.scale) << 18
        | has_alpha << 23
    ).to_bytes(3, "little")
    head += (
        (down if landscape else across) | _round(63 * p.scale) << 3 | _round(63 * q.scale) << 9 | landscape << 15
    ).to_bytes(2, "little")
    if a:
        head += bytes([_round(15 * a.dc) | _round(15 * a.scale) << 4])
    nibbles = [_round(15 * value) for value in chain(l.ac, p.ac, q.ac, a.ac if a else ())]
    nibbles += [0] * (len(nibbles) % 2)
    return head + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _composite_over_mean(band: bytes, alpha: Sequence[float], opacity: float) -> list[float]:
    pairs = [(value / 255, weight) for value, weight in zip(band, alpha, strict=True)]
    mean = sum(value * weight for value, weight in pairs) / opacity if opacity else 0.0
    return [mean * (1 - weight) + value * weight for value, weight in pairs]


def _frequencies(values: Sequence[float], width: int, across: int, down: int) -> _Channel:
    """Computes the cosine transform of one channel: the upper left triangle of `across` x `down` frequencies."""
    height = len(values) // width
    rows = [values[start : start + width] for start in range(0, len(values), width)]
    dc, ac = 0.0, []
    for v in range(down):
        vertical = [cos(pi / height * v * (y + 0.5)) for y in range(height)]
        columns = [sum(w * row[x] for w, row in zip(vertical, rows, strict=True)) for x in range(width)]
        for u in range(across):
            if u * down >= across * (down - v):
                break
            horizontal = (cos(pi / width * u * (x + 0.5)) for x in range(width))
            value = sum(w * column for w, column in zip(horizontal, columns, strict=True)) / len(values)
            if u or v:
                ac.append(value)
            else:
                dc = value
    scale = max((abs(value) for value in ac), default=0.0)
    return _Channel(dc, [0.5 + 0.5 / scale * value for value in ac] if scale else ac, scale)


def _round(value: float) -> int:
    """Rounds half up, as the format's reference does; Python's `round` goes to the even neighbour."""
    return floor(value + 0.5)
