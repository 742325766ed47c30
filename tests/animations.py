"""Animations made part by part, so that every field of their frames is known."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tests.pictures import chunk, png, png_header, save, webp


@dataclass(frozen=True, slots=True)
class Part:
    """A frame: `image` at `corner`, for `delay` (hundredths of a second; of WebP, milliseconds).

    `dispose` and `blend`: the numbers of the file's format.
    """

    image: Image.Image
    corner: tuple[int, int] = (0, 0)
    delay: int | tuple[int, int] = 10
    dispose: int = 0
    blend: int = 0


def gif(size: tuple[int, int], parts: Sequence[Part], repeats: int | None = 0) -> bytes:
    """`repeats`: None for a file that does not say. Palettes are local; fully transparent pixels get index 0."""
    loops = b"" if repeats is None else b"!\xff\x0bNETSCAPE2.0\3\1" + struct.pack("<H", repeats) + b"\0"
    frames = b"".join(gif_frame(part) for part in parts)
    return b"GIF89a" + struct.pack("<HH", *size) + b"\0\0\0" + loops + frames + b";"


def gif_frame(part: Part) -> bytes:
    control = b"!\xf9\x04" + struct.pack("<BHB", part.dispose << 2 | 1, part.delay, 0) + b"\0"
    image = Image.new("P", part.image.size)
    colors = [(0, 0, 0, 0), *sorted({color for _, color in part.image.getcolors() if color[3]})]
    image.putpalette([value for color in colors for value in color[:3]])
    image.putdata([colors.index(pixel if pixel[3] else colors[0]) for pixel in part.image.get_flattened_data()])
    file = save(image, "GIF", optimize=False)
    table = 3 << (file[10] & 7) + 1
    data = file[file.index(b",", 13 + table) + 10 :].removesuffix(b";")
    flags = bytes((0x80 | file[10] & 7,))
    return control + b"," + struct.pack("<4H", *part.corner, *image.size) + flags + file[13 : 13 + table] + data


def apng(
    size: tuple[int, int], parts: Sequence[Part], *, plays: int = 0, frames: int | None = None, hidden: bytes = b""
) -> bytes:
    """`frames`: how many are announced. `hidden`: the data of an image that no frame shows."""
    numbers = iter(range(1000))
    body = png_header(*size, color_type=6)
    body += chunk(b"acTL", struct.pack(">II", len(parts) if frames is None else frames, plays))
    if hidden:
        body += chunk(b"IDAT", hidden)
    for number, part in enumerate(parts):
        delay = part.delay if isinstance(part.delay, tuple) else (part.delay, 100)
        fields = (*part.image.size, *part.corner, *delay, part.dispose, part.blend)
        body += chunk(b"fcTL", struct.pack(">5I2H2B", next(numbers), *fields))
        data = idat(png(part.image))
        is_default = number == 0 and not hidden
        body += chunk(b"IDAT", data) if is_default else chunk(b"fdAT", struct.pack(">I", next(numbers)) + data)
    return body + chunk(b"IEND", b"")


def joined(files: Sequence[bytes], header: bytes) -> bytes:
    """The PNGs `files`, with the header of the first, as frames of 100 ms."""
    sides, numbers = header[16:24], iter(range(1000))
    body = header + chunk(b"acTL", struct.pack(">II", len(files), 0))
    for number, file in enumerate(files):
        body += chunk(b"fcTL", struct.pack(">I", next(numbers)) + sides + struct.pack(">2I2H2B", 0, 0, 10, 100, 0, 0))
        body += chunk(b"fdAT", struct.pack(">I", next(numbers)) + idat(file)) if number else chunk(b"IDAT", idat(file))
    return body + chunk(b"IEND", b"")


def idat(file: bytes) -> bytes:
    """The compressed pixels of a PNG."""
    start = file.index(b"IDAT")
    return file[start + 4 : start + 4 + int.from_bytes(file[start - 4 : start])]


def animated_webp(size: tuple[int, int], parts: Sequence[Part], plays: int = 0) -> bytes:
    """Lossless. Corners are even numbers. `dispose` 1 clears, `blend` 1 does not blend."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    body = b"WEBP" + riff(b"VP8X", b"\x12\0\0\0" + sides) + riff(b"ANIM", b"\0\0\0\0" + struct.pack("<H", plays))
    for part in parts:
        numbers = (*(at // 2 for at in part.corner), *(side - 1 for side in part.image.size), part.delay)
        head = b"".join(number.to_bytes(3, "little") for number in numbers) + bytes((part.blend << 1 | part.dispose,))
        body += riff(b"ANMF", head + webp(part.image)[12:])
    return riff(b"RIFF", body)


def riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
