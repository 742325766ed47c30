"""The colours that a PNG's own chunks state: gamma, primaries, code points, high dynamic range."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.icc_profiles import (
    DISPLAY_P3_XY,
    GREY_GAMMA_22,
    SRGB_XY,
    Matrix,
    srgb_encode,
    to_xyz_d50,
)
from tests.pictures import chunk, raw_png
from tests.unit.proxy.imaging.color_sources import (
    ADOBE_CHUNK,
    BT2020_XY,
    P3_CHUNK,
    P3_RED,
    PRIMARIES,
    RED,
    ROUNDING,
    SRGB,
    WHOLE,
    assert_alike,
    chrm,
    cicp,
    gama,
    grid,
    iccp,
)
from tests.unit.proxy.imaging.reference import color_at, picture, pixels


def expected(color: object, primaries: object, decode: Callable[[Matrix], Matrix]) -> Matrix:
    assert isinstance(primaries, tuple)
    light = np.clip(decode(np.asarray(color, np.float64)), 0, 1)
    linear = np.linalg.solve(to_xyz_d50(SRGB_XY), to_xyz_d50(primaries) @ light.reshape(-1, 3).T).T
    return np.asarray(srgb_encode(linear.reshape(light.shape)) * 255, np.float64)


def power(exponent: float) -> Callable[[Matrix], Matrix]:
    return lambda value: np.asarray(value**exponent, np.float64)


@pytest.mark.heavy
@pytest.mark.promise("A12")
@pytest.mark.parametrize(("depth", "channels"), [(8, 4), (16, 3)])
@pytest.mark.parametrize("primaries", PRIMARIES)
@pytest.mark.parametrize("gamma", [1.0, 1 / 2.6])
def test_gamma_and_primaries_are_applied(gamma: float, primaries: str, depth: int, channels: int) -> None:
    colors = grid()
    samples = np.dstack([colors, np.full((100, 100), 255)])[:, :, :channels] * (257 if depth == 16 else 1)

    shown = picture(raw_png(samples, depth, gama(gamma), chrm(PRIMARIES[primaries])), WHOLE)

    right = expected(colors / 255, PRIMARIES[primaries], power(round(1 / gamma, 3)))
    assert_alike(shown, right, depth)


def red_png(*chunks: bytes) -> bytes:
    return raw_png(np.full((120, 120, 3), RED), 8, *chunks)


P3_PURE_POWER = (219, 37, 49)


LINEAR_RED = tuple(float(value) for value in srgb_encode(np.array(RED) / 255) * 255)


CHUNKS = {
    "nothing": ((), RED),
    "cICP of Display P3": ((cicp(12, 13, 0, 1),), P3_RED),
    "cICP before a profile": ((ADOBE_CHUNK, cicp(12, 13, 0, 1)), P3_RED),
    "cICP before sRGB": ((SRGB, cicp(12, 13, 0, 1)), P3_RED),
    "cICP of sRGB before all": ((cicp(1, 13, 0, 1), P3_CHUNK, gama(1.0)), RED),
    "cICP of YCbCr": ((cicp(12, 13, 1, 1), P3_CHUNK), P3_RED),
    "cICP of unknown primaries": ((cicp(99, 13, 0, 1), P3_CHUNK), P3_RED),
    "cICP of an unknown curve": ((cicp(12, 2, 0, 1),), RED),
    "cICP of three bytes": ((chunk(b"cICP", b"\x0c\x0d\0"),), RED),
    "cICP of linear light": ((cicp(1, 8, 0, 1),), LINEAR_RED),
    "profile before sRGB": ((SRGB, P3_CHUNK), P3_RED),
    "impossible gAMA": ((chunk(b"gAMA", b"\xff" * 4),), RED),
    "profile before gAMA": ((gama(1.0), P3_CHUNK), P3_RED),
    "profile of text": ((iccp(bytes(200)), gama(1.0)), LINEAR_RED),
    "profile of greys": ((iccp(GREY_GAMMA_22), gama(1.0)), LINEAR_RED),
    "sRGB before gAMA and cHRM": ((SRGB, gama(1.0), chrm(DISPLAY_P3_XY)), RED),
    "sRGB that is too long": ((chunk(b"sRGB", b"\0\0"), gama(1.0)), LINEAR_RED),
    "gAMA": ((gama(1.0),), LINEAR_RED),
    "gAMA of sRGB": ((gama(0.45455),), RED),
    "gAMA and cHRM of sRGB": ((gama(0.45455), chrm(SRGB_XY)), RED),
    "gAMA and cHRM of Display P3": ((gama(0.45455), chrm(DISPLAY_P3_XY)), P3_PURE_POWER),
    "cHRM of Display P3": ((chrm(DISPLAY_P3_XY),), P3_RED),
    "gAMA of zero": ((gama(0.0),), RED),
    "gAMA that is too short": ((chunk(b"gAMA", b"\1"),), RED),
    "cHRM of points on a line": ((chrm(((0.1, 0.1), (0.2, 0.2), (0.3, 0.3))), gama(1.0)), RED),
    "cHRM of zeros": ((chunk(b"cHRM", bytes(32)), gama(1.0)), RED),
}


@pytest.mark.usefixtures("decoder")
@pytest.mark.promise("A12")
@pytest.mark.parametrize("name", CHUNKS)
def test_first_sound_source_of_a_pngs_colour_counts(name: str) -> None:
    chunks, right = CHUNKS[name]

    assert color_at(picture(red_png(*chunks), WHOLE), 0.5, 0.5) == pytest.approx(right, abs=ROUNDING)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.heavy
def test_grey_png_is_converted_by_gamma_and_code_points(depth: int) -> None:
    grey = np.full((120, 120), 55 * (257 if depth == 16 else 1))

    shown = [picture(raw_png(grey, depth, source), WHOLE) for source in (gama(1.0), cicp(9, 8, 0, 1))]

    assert [(image.mode, color_at(image, 0.5, 0.5)[0]) for image in shown] == [("L", 128)] * 2


def test_narrow_range_is_widened() -> None:
    samples = np.repeat(np.array([[16, 126, 235]]), 40, axis=1).repeat(100, axis=0)
    wide = picture(raw_png(np.dstack([samples] * 3), 8, cicp(1, 13, 0, 0)), WHOLE)

    assert [color_at(wide, x, 0.5)[0] for x in (0.1, 0.5, 0.9)] == pytest.approx([0, 128, 255], abs=1)


def pq_encode(nits: Matrix) -> Matrix:
    power = (nits / 10_000) ** (2610 / 16384)
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (2523 / 32), np.float64)


def hlg_encode(nits: Matrix) -> Matrix:
    scene = (nits / 1000) ** (1 / 1.2)
    with np.errstate(invalid="ignore", divide="ignore"):
        bright = 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright), np.float64)


NITS = np.array([0.0, 0.2, 2.0, 20.0, 100.0, 203.0, 500.0, 1000.0])


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("transfer", "encode"), [(16, pq_encode), (18, hlg_encode)], ids=["PQ", "HLG"])
def test_high_dynamic_range_has_203_nits_as_white(
    transfer: int, encode: Callable[[Matrix], Matrix], depth: int, grey: bool
) -> None:
    levels = np.rint(encode(NITS) * (2**depth - 1)).astype(np.int64).repeat(20)
    samples = np.tile(levels, (100, 1))

    shown = picture(raw_png(samples if grey else np.dstack([samples] * 3), depth, cicp(9, transfer, 0, 1)), WHOLE)

    right = srgb_encode(np.minimum(1, NITS / 203)) * 255
    assert right[[2, 3]] == pytest.approx([25, 89], abs=1)
    found = pixels(shown, "L")[50, 10::20]
    assert found == pytest.approx(right, abs=1 if depth == 16 else 3)


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
def test_colours_of_pq_are_converted_to_srgbs_primaries() -> None:
    nits = np.array([150.0, 40.0, 90.0])
    samples = np.tile(np.rint(pq_encode(nits) * 65535).astype(np.int64), (100, 100, 1))

    shown = picture(raw_png(samples, 16, cicp(9, 16, 0, 1)), WHOLE)

    right = expected(nits, BT2020_XY, lambda value: value / 203)
    assert color_at(shown, 0.5, 0.5) == pytest.approx(right, abs=ROUNDING)
