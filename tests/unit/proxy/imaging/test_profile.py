"""Sources of colour: profiles, PNG's chunks, samples of 16 bits. littleCMS and formulas are the measure."""

import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

from proxy.imaging.color import to_srgb
from proxy.imaging.icc import split_curves
from proxy.model import Fit
from tests.icc_profiles import (
    ADOBE_RGB,
    ADOBE_RGB_XY,
    DISPLAY_P3,
    DISPLAY_P3_XY,
    SRGB_XY,
    Matrix,
    gamma_curve,
    grey_profile,
    press_profile,
    rgb_profile,
    srgb_curve,
    srgb_encode,
    to_xyz_d50,
)
from tests.photographs import photograph
from tests.pictures import chunk, jpeg, png, raw_png, webp
from tests.unit.proxy.imaging.reference import by_littlecms, color_at, picture, pixels, target

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


# Profiles, by their curves


@pytest.mark.promise("A12")
@pytest.mark.parametrize(("depth", "channels"), [(8, 3), (16, 4)])
@pytest.mark.parametrize("primaries", PRIMARIES)
@pytest.mark.parametrize("curve", ["identity", "gamma 1.8", "table", "CIE 122", "sRGB"])
def test_colour_profile_is_applied_as_by_littlecms(curve: str, primaries: str, depth: int, channels: int) -> None:
    profile = rgb_profile("sRGB built-in", PRIMARIES[primaries], CURVES[curve])
    colors = grid()
    samples = np.dstack([colors, np.full((100, 100), 255)])[:, :, :channels] * (257 if depth == 16 else 1)

    shown = picture(raw_png(samples, depth, iccp(profile)), WHOLE)

    expected = by_littlecms(Image.fromarray(colors.astype(np.uint8)), profile)
    assert_alike(shown, expected, depth)


def assert_alike(shown: Image.Image, expected: Image.Image | Matrix, depth: int) -> None:
    """16 bits are rounded to 8 between curve and primaries. Where a channel nearly vanishes, that can be seen."""
    right = pixels(expected) if isinstance(expected, Image.Image) else expected
    errors = np.abs(pixels(shown) - right)
    assert np.quantile(errors, 0.97) <= ROUNDING
    assert errors.max() <= (ROUNDING + 1 if depth == 8 else NEAR_BLACK)


@pytest.mark.parametrize(("depth", "channels"), [(8, 1), (8, 2), (16, 1), (16, 2)])
@pytest.mark.parametrize("curve", CURVES)
def test_grey_profile_is_applied_as_by_littlecms(curve: str, depth: int, channels: int) -> None:
    profile = grey_profile("sRGB grey", CURVES[curve])
    levels = np.tile(np.arange(256), (100, 1))
    samples = np.dstack([levels, np.full_like(levels, 255)])[:, :, :channels] * (257 if depth == 16 else 1)

    shown = picture(raw_png(samples, depth, iccp(profile)), WHOLE)

    expected = by_littlecms(Image.fromarray(levels.astype(np.uint8)), profile)
    exact = np.s_[:, 16:]  # darker, tables of littleCMS are coarse for 8-bit grey of linear light
    assert np.abs(pixels(shown)[exact] - pixels(expected)[exact]).max() <= ROUNDING


@pytest.mark.parametrize("name", ["sRGB IEC61966-2.1", "sRGB", "Of my monitor", ""])
@pytest.mark.parametrize("curve", ["table", "sRGB"])
def test_profile_of_srgbs_curve_changes_no_pixel_whatever_its_name(name: str, curve: str) -> None:
    image = photograph("coffee.png")

    assert to_srgb(image, rgb_profile(name, SRGB_XY, CURVES[curve])).tobytes() == image.tobytes()


# Pieces of a profile in a JPEG


def piece(number: int, count: int, body: bytes) -> bytes:
    data = b"ICC_PROFILE\0" + bytes([number, count]) + body
    return b"\xff\xe2" + struct.pack(">H", len(data) + 2) + data


HALF = len(DISPLAY_P3) // 2
FIRST, SECOND = piece(1, 2, DISPLAY_P3[:HALF]), piece(2, 2, DISPLAY_P3[HALF:])
ALL = piece(1, 1, DISPLAY_P3)
PIECES = {
    "one": ALL,
    "two": FIRST + SECOND,
    "two in the other order": SECOND + FIRST,
    "one twice": ALL + ALL,
    "two twice": FIRST + SECOND + FIRST + SECOND,
    "each twice": FIRST + FIRST + SECOND + SECOND,
    "one, and another": ALL + piece(1, 1, ADOBE_RGB),
    "one, and one of two": piece(1, 2, ADOBE_RGB[:200]) + ALL,
    "two hundred": b"".join(
        piece(index + 1, 200, DISPLAY_P3[index * 14 :][: 14 if index < 199 else None]) for index in range(200)
    ),
}
INCOMPLETE = {
    "the second is missing": FIRST,
    "the first is missing": SECOND,
    "none of none": piece(0, 0, DISPLAY_P3),
    "the second of one": piece(2, 1, DISPLAY_P3),
}


def jpeg_with(segments: bytes, before: bytes) -> bytes:
    whole = jpeg(Image.new("RGB", (120, 120), RED))
    at = whole.index(before)
    return whole[:at] + segments + whole[at:]


@pytest.mark.parametrize(
    "before", [b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda"], ids=["DQT", "SOF", "DHT", "SOS"]
)
@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_a_jpegs_profile_are_joined_wherever_they_are(name: str, before: bytes) -> None:
    assert color_at(picture(jpeg_with(PIECES[name], before), WHOLE), 0.5, 0.5) == pytest.approx(P3_RED, abs=LOSSY)


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_profile_of_a_jpeg_is_ignored(name: str) -> None:
    assert color_at(picture(jpeg_with(INCOMPLETE[name], b"\xff\xdb"), WHOLE), 0.5, 0.5) == pytest.approx(RED, abs=LOSSY)


@pytest.mark.parametrize("write", [jpeg, png, webp])
def test_profile_of_a_megabyte_is_applied(write: Callable[..., bytes]) -> None:
    large = bytearray(DISPLAY_P3 + np.random.default_rng(4).bytes(1_200_000))
    large[:4] = len(large).to_bytes(4)

    original = write(Image.new("RGB", (120, 120), RED), icc_profile=bytes(large))

    assert color_at(picture(original, WHOLE), 0.5, 0.5) == pytest.approx(P3_RED, abs=LOSSY)


# PNG's chunks


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


def expected(color: object, primaries: object, decode: Callable[[Matrix], Matrix]) -> Matrix:
    assert isinstance(primaries, tuple)
    light = np.clip(decode(np.asarray(color, np.float64)), 0, 1)
    linear = np.linalg.solve(to_xyz_d50(SRGB_XY), to_xyz_d50(primaries) @ light.reshape(-1, 3).T).T
    return np.asarray(srgb_encode(linear.reshape(light.shape)) * 255, np.float64)


def power(exponent: float) -> Callable[[Matrix], Matrix]:
    return lambda value: np.asarray(value**exponent, np.float64)


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
    "profile before gAMA": ((gama(1.0), P3_CHUNK), P3_RED),
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
def test_grey_png_is_converted_by_gamma_and_code_points(depth: int) -> None:
    grey = np.full((120, 120), 55 * (257 if depth == 16 else 1))

    shown = [picture(raw_png(grey, depth, source), WHOLE) for source in (gama(1.0), cicp(9, 8, 0, 1))]

    assert [(image.mode, color_at(image, 0.5, 0.5)[0]) for image in shown] == [("L", 128)] * 2


def test_narrow_range_is_widened() -> None:
    samples = np.repeat(np.array([[16, 126, 235]]), 40, axis=1).repeat(100, axis=0)
    wide = picture(raw_png(np.dstack([samples] * 3), 8, cicp(1, 13, 0, 0)), WHOLE)

    assert [color_at(wide, x, 0.5)[0] for x in (0.1, 0.5, 0.9)] == pytest.approx([0, 128, 255], abs=1)


# High dynamic range


def pq_encode(nits: Matrix) -> Matrix:
    power = (nits / 10_000) ** (2610 / 16384)
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (2523 / 32), np.float64)


def hlg_encode(nits: Matrix) -> Matrix:
    scene = (nits / 1000) ** (1 / 1.2)
    with np.errstate(invalid="ignore", divide="ignore"):
        bright = 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright), np.float64)


NITS = np.array([0.0, 0.2, 2.0, 20.0, 100.0, 203.0, 500.0, 1000.0])


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


@pytest.mark.usefixtures("decoder")
def test_colours_of_pq_are_converted_to_srgbs_primaries() -> None:
    nits = np.array([150.0, 40.0, 90.0])
    samples = np.tile(np.rint(pq_encode(nits) * 65535).astype(np.int64), (100, 100, 1))

    shown = picture(raw_png(samples, 16, cicp(9, 16, 0, 1)), WHOLE)

    right = expected(nits, BT2020_XY, lambda value: value / 203)
    assert color_at(shown, 0.5, 0.5) == pytest.approx(right, abs=ROUNDING)


# Sixteen bits until after the conversion


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


# Broken profiles of 16-bit samples


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"\0" * 200,
        DISPLAY_P3[:200],
        press_profile(),
        DISPLAY_P3[:128] + b"\xff" * 400,
        rgb_profile("x", SRGB_XY, b"none" + bytes(8)),
        rgb_profile("x", SRGB_XY, parametric(9, 1.0)),
        rgb_profile("x", SRGB_XY, b"curv\0\0\0\0\xff\xff\xff\xff"),
        rgb_profile("x", SRGB_XY, parametric(1, 2.2, 0.0, 0.1)),
    ],
    ids=[
        "empty",
        "zeros",
        "cut",
        "inks",
        "wild tags",
        "no curve",
        "unknown curve",
        "endless curve",
        "division by zero",
    ],
)
def test_profile_without_sound_curves_is_not_split(profile: bytes) -> None:
    assert split_curves(profile) is None
