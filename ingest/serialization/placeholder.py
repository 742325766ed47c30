"""A ThumbHash as a tiny PNG in a `data:` URL, which a page shows without a script.

The format is Evan Wallace's (https://evanw.github.io/thumbhash/): means and low cosine frequencies of luminance (l) and
of two colour differences (p: yellow-blue, q: red-green). Browsers scale the few pixels up smoothly.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import cos, pi

_SIDE = 8  # pixels of the longer side: 300 characters as a PNG, within 5 levels of the result with 32
_COLOR_GAIN = 1.25  # as the reference decoder, which compensates for coarse quantisation

Frequencies = Mapping[tuple[int, int], float]
"""Amplitudes by horizontal and vertical frequency."""


@lru_cache(4096)  # some 300 bytes each; the list of uploads shows the same ones again
def data_url(thumbhash: str) -> str | None:
    """Returns the image of a base64 ThumbHash as a PNG in a `data:` URL. Raises ValueError if it is not a ThumbHash.

    Returns None for a transparent image, because a background would stay visible through it.
    """
    data = b64decode(thumbhash, validate=True)
    if len(data) < 5:
        raise ValueError("not a ThumbHash")
    if data[2] & 0x80:
        return None
    return "data:image/png;base64," + b64encode(_png(data)).decode()


def _png(data: bytes) -> bytes:
    width, height = _sides(data)
    rows = b"".join(b"\0" + b"".join(row) for row in _pixels(data, width, height))
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])  # 8 bits, RGB
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _sides(data: bytes) -> tuple[int, int]:
    """Returns width and height in pixels. Of frequencies, the longer side has 7, the other a proportional number."""
    across, down = _frequency_counts(data)
    return max(1, round(_SIDE * across / 7)), max(1, round(_SIDE * down / 7))


def _frequency_counts(data: bytes) -> tuple[int, int]:
    shape = int.from_bytes(data[3:5], "little")
    return (7, shape & 7) if shape >> 15 else (shape & 7, 7)


def _pixels(data: bytes, width: int, height: int) -> Iterator[list[bytes]]:
    """Rows of RGB pixels."""
    light, yellow_blue, red_green = (_samples(channel, width, height) for channel in _channels(data))
    for y in range(height):
        yield [_rgb(light[y][x], yellow_blue[y][x], red_green[y][x]) for x in range(width)]


def _channels(data: bytes) -> Iterator[Frequencies]:
    head, shape = int.from_bytes(data[:3], "little"), int.from_bytes(data[3:5], "little")
    nibbles = (byte >> shift & 15 for byte in data[5:] for shift in (0, 4))
    across, down = (max(3, count) for count in _frequency_counts(data))
    yield _channel((head & 63) / 63, (head >> 18 & 31) / 31, across, down, nibbles)
    yield _channel((head >> 6 & 63) / 31.5 - 1, (shape >> 3 & 63) / 63 * _COLOR_GAIN, 3, 3, nibbles)
    yield _channel((head >> 12 & 63) / 31.5 - 1, (shape >> 9 & 63) / 63 * _COLOR_GAIN, 3, 3, nibbles)


def _channel(mean: float, scale: float, across: int, down: int, nibbles: Iterator[int]) -> Frequencies:
    frequencies = {(0, 0): mean}
    for v in range(down):
        for u in range(0 if v else 1, across):
            if u * down < across * (down - v):
                frequencies[u, v] = 2 * scale * (next(nibbles, 7.5) / 7.5 - 1)  # 7.5 means 0, for truncated hashes
    return frequencies


def _samples(frequencies: Frequencies, width: int, height: int) -> list[list[float]]:
    return [
        [
            sum(
                value * cos(pi / width * u * (x + 0.5)) * cos(pi / height * v * (y + 0.5))
                for (u, v), value in frequencies.items()
            )
            for x in range(width)
        ]
        for y in range(height)
    ]


def _rgb(light: float, yellow_blue: float, red_green: float) -> bytes:
    blue = light - 2 / 3 * yellow_blue
    red = (3 * light - blue + red_green) / 2
    return bytes(max(0, min(255, round(255 * value))) for value in (red, red - red_green, blue))
