"""The frames of an animated WebP, which libwebp composes."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

from proxy.imaging.animation.composition import Frame
from proxy.imaging.containers import TooManyParts, read_body, webp_chunks
from proxy.imaging.limits import Limits, open_image
from proxy.imaging.original_file import OriginalFile

_MAX_CHUNKS = 100  # before the animation's control


def webp_loops(path: OriginalFile) -> int:
    """Returns how often an animated WebP is played, 0 for ever."""
    with path.open("rb") as file, suppress(TooManyParts):
        for chunk in webp_chunks(file, _MAX_CHUNKS):
            if chunk.kind == b"ANIM":
                return int.from_bytes(read_body(file, chunk, 6)[4:], "little")
    return 0


def webp_frames(path: OriginalFile, limits: Limits) -> Iterator[Frame]:
    """Yields the composed frames. Raises Undecodable at the first one that is damaged; TooHeavy."""
    with open_image(path, limits) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            yield Frame(image, Fraction(image.info["duration"]))
