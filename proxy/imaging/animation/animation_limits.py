"""Decides which animations are played, by the file's structure and the target, without decoding.

The server uses it for memory estimates, the render worker to choose between the animation and its first frame.
"""

from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO

from proxy.imaging.containers import (
    MAX_CHUNKS,
    SNIFFED,
    TooManyParts,
    gif_blocks,
    png_chunks,
    read_body,
    sniff,
    webp_chunks,
)
from proxy.imaging.metadata import MAX_GIF_BLOCKS
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.resize import place
from proxy.imaging.target import Target
from proxy.model import SourceFormat

MAX_FRAMES = 1000
"""Frames of an animation that is played: 30 seconds at 33 frames a second."""

MAX_DECODED = 25_000_000
"""Pixels of the original times frames, such as 190 frames of 480x270."""

MAX_ENCODED = 12_000_000
"""Pixels of the variant times frames, such as 130 frames of 400x225."""

_OTHER_CHUNKS = 100  # chunks of a WebP besides its frames, such as metadata


def count_frames(path: OriginalFile) -> int:
    """Returns how many frames the file at `path` has, without decoding it, but at most `MAX_FRAMES` + 1.

    Returns 1 for every file except a GIF, an animated WebP or an animated PNG. Frames may be damaged, so fewer may be
    played. Reads only the heads of parts; blocks on file I/O.
    """
    most = MAX_FRAMES + 1
    with path.open("rb") as file:
        try:
            match sniff(file.read(SNIFFED)):
                case SourceFormat.GIF:
                    return _count(most, (block.kind == b"," for block in gif_blocks(file, MAX_GIF_BLOCKS)))
                case SourceFormat.WEBP:
                    return _count(most, (chunk.kind == b"ANMF" for chunk in webp_chunks(file, most + _OTHER_CHUNKS)))
                case SourceFormat.PNG:
                    return _count_png(file, most)
                case _:
                    return 1
        except TooManyParts:
            return most


def is_played(size: tuple[int, int], frames: int, target: Target) -> bool:
    """Whether `target` shows an original of `size` pixels (upright) and `frames` frames as an animation.

    Beyond the limits of this module, the target shows the first frame.
    """
    if not target.animated or not 1 < frames <= MAX_FRAMES:
        return False
    placement = place(size, target.width, target.height, target.fit, enlarge=target.enlarge)
    decoded, encoded = size[0] * size[1], placement.width * placement.height
    return frames * decoded <= MAX_DECODED and frames * encoded <= MAX_ENCODED


def _count(most: int, are_frames: Iterable[bool]) -> int:
    return max(1, sum(islice((True for is_frame in are_frames if is_frame), most)))


def _count_png(file: BinaryIO, most: int) -> int:
    """Counts a PNG's frames, up to the number that the file announces before its pixels."""
    announced = frames = 0
    for chunk in png_chunks(file, MAX_CHUNKS):
        if chunk.kind == b"acTL" and not announced:
            announced = min(int.from_bytes(read_body(file, chunk, 4)), most)
        elif chunk.kind == b"IDAT" and not announced:
            return 1
        elif chunk.kind == b"fcTL":
            frames += 1
            if frames == most:
                break
    return max(1, min(announced, frames))
