"""Animations as they are seen: files that are rendered, their frames, colours and times."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from PIL import Image

from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import Format
from tests.unit.proxy.imaging.reference import on_disk, target

SIDE = 32
SIZE = (SIDE, SIDE)
LIMITS = Limits(1, 10_000)
WHOLE = replace(target(SIDE, SIDE, Format.WEBP), animated=True)
CLEAR, RED, GREEN, BLUE = (0, 0, 0, 0), (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)
HALF, MIXED = (0, 0, 255, 128), (127, 0, 128, 255)  # blue of half its strength, alone and over red
PLACES = ((8, 8), (24, 8), (8, 24), (24, 24))
RIGHT_TOP, LEFT_BOTTOM = (16, 0), (0, 16)

Seen = tuple[Image.Image, int]


def filled(color: tuple[int, ...], width: int = 16, height: int = 16) -> Image.Image:
    return Image.new("RGBA", (width, height), color)


def file_of(original: bytes, wanted: Target = WHOLE) -> bytes:
    with on_disk(original) as path:
        [file] = render(path, [wanted], LIMITS)
    return file.body


def frames_of(file: bytes) -> list[Seen]:
    """The composed frames and their milliseconds, by Pillow."""
    with Image.open(BytesIO(file)) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            found.append((image.convert("RGBA"), image.info.get("duration", 0)))
        return found


def played(original: bytes, wanted: Target = WHOLE) -> list[Seen]:
    return frames_of(file_of(original, wanted))


def colors(frames: Sequence[Seen]) -> list[list[Any]]:
    return [[frame.getpixel(place) for place in PLACES] for frame, _ in frames]


def times(original: bytes) -> list[int]:
    return [milliseconds for _, milliseconds in played(original)]
