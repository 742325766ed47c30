"""PNG samples of 16 bits: whole until after the conversion."""

import struct
import zlib
from functools import cache

import numpy as np
import pytest

from tests.icc_profiles import (
    SRGB_XY,
    grey_profile,
    rgb_profile,
    srgb_encode,
)
from tests.pictures import chunk, raw_png
from tests.unit.proxy.imaging.color_sources import LINEAR_CURVES, WHOLE, iccp
from tests.unit.proxy.imaging.reference import picture, pixels, target


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("curve", LINEAR_CURVES)
def test_dark_gradient_of_16_bits_keeps_every_level(channels: int, curve: str) -> None:
    ramp = np.tile(np.linspace(0, 65535 * 0.02, 300).round().astype(np.int64), (100, 1))
    samples = np.dstack([ramp] * channels)
    if channels in (2, 4):
        samples[..., -1] = 65535
    make = grey_profile if channels < 3 else lambda name, curve: rgb_profile(name, SRGB_XY, curve)

    shown = pixels(picture(raw_png(samples, 16, iccp(make("Linear", LINEAR_CURVES[curve]))), WHOLE), "L")[50]

    assert set(np.diff(shown)) == {0, 1}
    assert shown == pytest.approx(srgb_encode(ramp[0] / 65535) * 255, abs=1)


@cache
def half_keyed(channels: int, side: int, *, interlaced: bool) -> bytes:
    """The left half has the transparent colour, the right half one that differs in the lower byte alone."""
    samples = np.full((side, side, channels), 0x8000)
    samples[:, side // 2 :] = 0x80F0
    key = chunk(b"tRNS", b"\x80\0" * channels)
    if interlaced:
        return interlace(samples, key)
    return raw_png(samples.reshape(side, side) if channels == 1 else samples, 16, key)


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("side", [120, 1700])
@pytest.mark.parametrize("channels", [1, 3])
def test_key_of_16_bits_spares_its_neighbour(channels: int, side: int, interlaced: bool) -> None:
    shown = picture(half_keyed(channels, side, interlaced=interlaced), target(100, 100)).convert("RGBA")

    assert shown.getpixel((20, 50))[3] == 0
    assert shown.getpixel((80, 50)) == (128, 128, 128, 255)


def interlace(samples: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]", *chunks: bytes) -> bytes:
    """A PNG of 16 bits by Adam7."""
    flat = raw_png(samples[:1, :1], 16)[8:33]
    header = bytearray(flat)
    header[8:16] = struct.pack(">II", samples.shape[1], samples.shape[0])
    header[20] = 1
    header[21:25] = zlib.crc32(header[4:21]).to_bytes(4)
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for left, top, across, down in steps
        for row in samples[top::down, left::across]
    )
    pieces = [bytes(header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)
