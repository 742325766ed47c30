"""Plays the animation in a file: its composed frames with their times, and how often it is shown."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from proxy.errors import Undecodable
from proxy.imaging.animation.composition import Frame, compose
from proxy.imaging.animation.gif_animation import gif_loops, gif_patches
from proxy.imaging.animation.png_animation import png_loops, png_patches
from proxy.imaging.animation.webp_animation import webp_frames, webp_loops
from proxy.imaging.decode import Original
from proxy.imaging.limits import Limits
from proxy.imaging.original_file import OriginalFile
from proxy.model import SourceFormat

SHORTEST, BROWSERS_DEFAULT = 10, 100
"""Milliseconds. Browsers show a frame of at most `SHORTEST` for `BROWSERS_DEFAULT`, as old files have no true times."""

_LONGEST = 655_350  # milliseconds, of a GIF; libwebp adds them up in 32 bits
_MOST_LOOPS = 65_535  # of WebP


def count_loops(path: OriginalFile, format: SourceFormat) -> int:
    """Returns how often the animation is shown, 0 for ever."""
    count = {SourceFormat.GIF: gif_loops, SourceFormat.PNG: png_loops, SourceFormat.WEBP: webp_loops}[format]
    return min(count(path), _MOST_LOOPS)


def play(path: OriginalFile, original: Original, limits: Limits) -> Iterator[Frame]:
    """Yields the frames of a GIF, animated PNG or animated WebP, with the times that browsers show them.

    Ends before the first damaged frame, as browsers do. Raises TooHeavy.
    """
    match original.format:
        case SourceFormat.GIF:
            frames = compose(original.size, gif_patches(path, original.size))
        case SourceFormat.PNG:
            frames = compose(original.size, png_patches(path, original.size))
        case _:
            frames = webp_frames(path, limits)
    try:
        for frame in frames:
            is_timed = frame.milliseconds > SHORTEST
            milliseconds = min(frame.milliseconds, Fraction(_LONGEST)) if is_timed else Fraction(BROWSERS_DEFAULT)
            yield replace(frame, milliseconds=milliseconds)
    except Undecodable:
        return
