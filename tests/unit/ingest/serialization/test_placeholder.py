"""A ThumbHash becomes a PNG with the right colours, shape and frequencies.

The hashes come from `proxy.imaging.thumbhash`.
"""

import re
import struct
import zlib
from base64 import b64decode, b64encode
from math import cos, pi, sqrt

import pytest

from ingest.serialization.placeholder import data_url
from proxy.imaging.thumbhash import THUMBHASH

Pixel = tuple[int, ...]
STEP = 5  # levels: luminance has 64 steps, the two colour differences as many for twice the range
PHOTOGRAPH = "3EgKFwhpaIVPh2aHVnh5WIdp+SVif0IG"


def decode(thumbhash: str) -> list[list[Pixel]]:
    """The rows of the PNG, whose chunks, header and filters are checked."""
    url = data_url(thumbhash)
    assert url is not None
    head, _, body = url.partition(",")
    assert head == "data:image/png;base64"
    png = b64decode(body, validate=True)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks.append((kind, data))
        at += length + 12
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *form = struct.unpack(">IIBBBBB", chunks[0][1])
    assert form == [8, 2, 0, 0, 0]
    data = zlib.decompress(chunks[1][1])
    stride = 1 + 3 * width
    assert len(data) == stride * height
    rows = [data[start : start + stride] for start in range(0, len(data), stride)]
    assert {row[0] for row in rows} == {0}
    return [[tuple(row[x : x + 3]) for x in range(1, stride, 3)] for row in rows]


def correlation(one: list[float], other: list[float]) -> float:
    def centred(values: list[float]) -> list[float]:
        mean = sum(values) / len(values)
        return [value - mean for value in values]

    a, b = centred(one), centred(other)
    return sum(x * y for x, y in zip(a, b, strict=True)) / sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@pytest.mark.parametrize(
    ("color", "thumbhash"),
    [
        ((0, 0, 0), "AAgCBIAAAAAAAAAAAAAAAAAAAA=="),
        ((255, 255, 255), "PwgCBIBvapiFiIiFiIkAAAAAAA=="),
        ((122, 107, 92), "mhgCBIBvepiIiIiGiIlvjfiQiA=="),
        ((200, 30, 30), "lUoDBIBabJuPiIiCiIpvj8AEuA=="),
        ((20, 60, 220), "WbIBBIAIS76EiIiBiIowh0mT+A=="),
    ],
)
def test_one_color_is_kept(color: Pixel, thumbhash: str) -> None:
    for row in decode(thumbhash):
        for pixel in row:
            assert max(abs(value - expected) for value, expected in zip(pixel, color, strict=True)) <= STEP


@pytest.mark.parametrize(
    ("across", "down", "thumbhash"),
    [
        (1, 0, "IAgWBwCPeIeIiIh3iIiIeIiICAAAAAAA"),
        (0, 1, "IAgWBwCIeIiPiIiHiIiIiIiHCAAAAAAA"),
        (2, 0, "IAgWBwD4eIeIiIiHh4iIeIiICAAAAAAA"),
        (0, 3, "IAgWBwB4eIiIiIiHiPiIiIiICAAAAAAA"),
        (1, 1, "IAgOBwB4d4f4eHiHiIiHeIh4CAAAAAAA"),
        (2, 1, "IAgOBwCHd3h4j3iHiIeIeIiICAAAAAAA"),
    ],
)
def test_cosine_wave_is_recognised(across: int, down: int, thumbhash: str) -> None:
    """The format cannot encode 0, so every other frequency has a small amplitude."""
    seen = [float(pixel[1]) for row in decode(thumbhash) for pixel in row]

    wave = [cos(pi * across * (x + 0.5) / 8) * cos(pi * down * (y + 0.5) / 8) for y in range(8) for x in range(8)]
    assert correlation(seen, wave) > 0.9


@pytest.mark.parametrize(
    ("thumbhash", "sides"),
    [
        (PHOTOGRAPH, (8, 8)),
        ("3EgKFIhpaIVPh1aHVpdfIvYnZA==", (8, 5)),
        ("3EgKFAhp93R4aJdXl5ZfIvYnZA==", (5, 8)),
        ("3Eg6OZJ4eIeIiAiHeoiwhwg=", (8, 1)),
        ("3Ug6ORIIiYZ4h4eICIaHUHg=", (1, 8)),
    ],
)
def test_shape_follows_the_image(thumbhash: str, sides: tuple[int, int]) -> None:
    rows = decode(thumbhash)

    assert {len(row) for row in rows} == {sides[0]}
    assert len(rows) == sides[1]


def test_placeholder_url_is_short() -> None:
    assert len(data_url(PHOTOGRAPH) or "") < 400


def test_transparent_image_has_no_url() -> None:
    assert data_url("lVqDBQA412iId36AZ9d4f433B1iHeICJVw==") is None


@pytest.mark.parametrize("thumbhash", ["", "AAAA", "%%%%", "YJqGP"])
def test_invalid_thumbhash_raises(thumbhash: str) -> None:
    with pytest.raises(ValueError):
        data_url(thumbhash)


def test_every_thumbhash_that_is_stored_can_be_shown() -> None:
    """One that cannot would make every list of uploads fail."""
    for length in range(40):
        for filling in (b"\0", b"\x7f", b"\xff"):
            thumbhash = b64encode(filling * length).decode()
            if re.fullmatch(THUMBHASH, thumbhash):
                data_url(thumbhash)
            else:
                assert not 5 <= length <= 25


def test_truncated_thumbhash_keeps_its_shape() -> None:
    assert [len(row) for row in decode(PHOTOGRAPH[:8])] == [8] * 8
