"""Chunks and profiles that state colours, for tests."""

import struct
import zlib

import numpy as np
from PIL import Image

from proxy.model import Fit
from tests.icc_profiles import (
    ADOBE_RGB,
    ADOBE_RGB_XY,
    DISPLAY_P3,
    DISPLAY_P3_XY,
    SRGB_XY,
    Matrix,
    gamma_curve,
    srgb_curve,
)
from tests.pictures import chunk
from tests.unit.proxy.imaging.reference import pixels, target

ROUNDING = 2  # levels: 8 bits, curves in tables


LOSSY = 3


NEAR_BLACK = 20


BT2020_XY = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))


P3_RED = (217, 42, 52)  # what Display P3's (200, 60, 60) is in sRGB


RED = (200, 60, 60)


WHOLE = target(None, None, fit=Fit.INSIDE)


IDENTITY_CURVE = b"curv" + bytes(8)


def parametric(kind: int, *values: float) -> bytes:
    return b"para" + struct.pack(f">IHH{len(values)}i", 0, kind, 0, *(round(value * 65536) for value in values))


LINEAR_CURVES = {"identity": IDENTITY_CURVE, "gamma 1": gamma_curve(1.0), "parametric": parametric(0, 1.0)}


SRGB_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


CURVES = LINEAR_CURVES | {
    "gamma 1.8": gamma_curve(1.8),
    "gamma 2.2": gamma_curve(2.2),
    "table": srgb_curve(),
    "parametric gamma": parametric(0, 2.2),
    "CIE 122": parametric(1, 2.2, 1.1, -0.1),
    "IEC 61966-3": parametric(2, 2.2, 1.1, -0.1, 0.0),
    "sRGB": parametric(3, *SRGB_PARAMETERS),
    "IEC 61966-2-1": parametric(4, *SRGB_PARAMETERS, 0.0, 0.0),
}


PRIMARIES = {"sRGB": SRGB_XY, "Display P3": DISPLAY_P3_XY, "Adobe RGB": ADOBE_RGB_XY, "BT.2020": BT2020_XY}


def grid() -> "np.ndarray[tuple[int, int, int], np.dtype[np.int64]]":
    """A hundred by a hundred colours from all over the space, and greys."""
    colors = np.random.default_rng(3).integers(0, 256, (100, 100, 3))
    colors[:3] = np.arange(300).reshape(3, 100, 1).clip(0, 255)
    return colors


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"any name\0\0" + zlib.compress(profile))


def assert_alike(shown: Image.Image, expected: Image.Image | Matrix, depth: int) -> None:
    """16 bits are rounded to 8 between curve and primaries. Where a channel nearly vanishes, that can be seen."""
    right = pixels(expected) if isinstance(expected, Image.Image) else expected
    errors = np.abs(pixels(shown) - right)
    assert np.quantile(errors, 0.97) <= ROUNDING
    assert errors.max() <= (ROUNDING + 1 if depth == 8 else NEAR_BLACK)


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", round(100_000 * gamma).to_bytes(4))


def chrm(primaries: object, white: tuple[float, float] = (0.3127, 0.3290)) -> bytes:
    assert isinstance(primaries, tuple)
    points = [white, *primaries]
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for point in points for value in point)))


def cicp(*values: int) -> bytes:
    return chunk(b"cICP", bytes(values))


SRGB = chunk(b"sRGB", b"\0")


P3_CHUNK, ADOBE_CHUNK = iccp(DISPLAY_P3), iccp(ADOBE_RGB)
