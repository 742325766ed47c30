"""Renders with watermarks, and what flat originals show with them."""

import hashlib
from dataclasses import replace
from typing import Any

from PIL import Image

from proxy.imaging.original_file import FileInMemory
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import Watermark
from tests.pictures import png
from tests.unit.proxy.imaging.reference import LIMITS, decoded, on_disk, target

RED, BLUE, WHITE = (255, 0, 0), (32, 64, 96), (255, 255, 255)
WIDE = target(200, 120)
WIDE_BOX = (157, 97, 197, 117)
"""Where a logo of 2:1 with the width 0.2 is in WIDE by default: 40x20 pixels, 3 from the edges."""
LOSSY = 6  # levels: a flat colour through lossy encoders


def logo(color: str | tuple[int, ...] = "#ff0000", size: tuple[int, int] = (80, 40), mode: str = "RGBA") -> bytes:
    return png(Image.new(mode, size, color))


def marked(file: bytes, wanted: Target = WIDE, **options: Any) -> Target:
    """`wanted` with a watermark, of the width 0.2 unless `options` say otherwise."""
    digest = hashlib.sha256(file).hexdigest()
    return replace(wanted, watermark=Watermark(digest, 1, **{"width": 0.2} | options))


def files(original: bytes, targets: list[Target], *watermarks: bytes) -> list[bytes]:
    known = {hashlib.sha256(file).hexdigest(): FileInMemory(file) for file in watermarks}
    with on_disk(original) as path:
        rendered = sorted(render(path, targets, LIMITS, None, known), key=lambda file: file.index)
    return [file.body for file in rendered]


def drawn(original: bytes, wanted: Target, file: bytes) -> Image.Image:
    return decoded(files(original, [wanted], file)[0])


def flat(color: str | tuple[int, ...] = WHITE, mode: str = "RGB", size: tuple[int, int] = (200, 120)) -> bytes:
    return png(Image.new(mode, size, color))


def expected(color: object, box: tuple[int, int, int, int], below: tuple[int, ...] = WHITE) -> Image.Image:
    image = Image.new("RGB" if len(below) == 3 else "RGBA", (200, 120), below)
    image.paste(color, box)
    return image
