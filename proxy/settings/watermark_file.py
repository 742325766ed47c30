"""Reads the file of a watermark, and its sides from its header. Render workers alone decode it."""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 1 << 20
MAX_PIXELS = 1_000_000
"""Decoding them takes up to 32 MB. A render process decodes every file when it starts, outside the memory budget: with
this limit it stays within what an idle process may hold (`RENDER_IDLE_MB`)."""
MAX_SIDE = 1 << 14
MAX_BYTES_TOGETHER = 4 << 20
"""Every render worker holds all files."""

_PNG = b"\x89PNG\r\n\x1a\n"
_HEAD = 30  # bytes that are read for the sides, which are among them in every kind of WebP


@dataclass(frozen=True, slots=True)
class WatermarkFile:
    """A watermark as it was when the settings were loaded. `name`: its path, as `darkroom.toml` gives it."""

    name: str
    pixels: int
    body: bytes = field(repr=False)
    digest: str


def read_watermark_file(name: str, folder: Path) -> WatermarkFile:
    """Reads the PNG or WebP file `name`, relative to `folder`. Raises ValueError, as a sentence for the operator."""
    path = folder / name
    try:
        if not path.is_file():  # a pipe would never end
            raise ValueError(f"{path} is not a file" if path.exists() else f"there is no file {path}")
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    if len(body) > MAX_BYTES:
        raise ValueError(f"{path} has more than 1 MiB. Scale it down, or export it with fewer colours")
    if not body.startswith(_PNG) and (body[:4], body[8:12]) != (b"RIFF", b"WEBP"):
        raise ValueError(f"{path} is neither a PNG nor a WebP file")
    try:
        width, height = _read_sides(body[:_HEAD])
    except struct.error:
        raise ValueError(f"{path} is damaged. Export it again") from None
    if not width or not height:
        raise ValueError(f"{path} is damaged. Export it again")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ValueError(f"{path} has {width}x{height} pixels. Scale it down to 1 megapixel, such as 1000x1000")
    return WatermarkFile(name, width * height, body, hashlib.sha256(body).hexdigest())


def check_together(files: Iterable[WatermarkFile]) -> None:
    """Raises ValueError if different files have more bytes than every render worker may hold."""
    total = sum({file.digest: len(file.body) for file in files}.values())
    if total > MAX_BYTES_TOGETHER:
        raise ValueError("the watermarks of all sizes have more than 4 MiB together. Scale them down")


def _read_sides(head: bytes) -> tuple[int, int]:
    """Returns width and height in pixels; zeros if the structure is not that of the format.

    Raises struct.error for a file that ends early.
    """
    if head.startswith(_PNG):
        kind, width, height = struct.unpack_from(">4sII", head, 12)
        return (width, height) if kind == b"IHDR" else (0, 0)
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", head, 24)
            return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1
        case _:
            return 0, 0
