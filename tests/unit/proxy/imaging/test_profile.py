"""Sources of colour: profiles, PNG's chunks, samples of 16 bits. littleCMS and formulas are the measure."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from proxy.imaging.color import to_srgb
from proxy.imaging.icc import grey_levels, split_curves
from tests.icc_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB_XY,
    gamma_curve,
    grey_profile,
    press_profile,
    rgb_profile,
)
from tests.icc_profiles import profile as icc_profile
from tests.photographs import photograph
from tests.pictures import jpeg, png, raw_png, webp
from tests.unit.proxy.imaging.color_sources import (
    CURVES,
    LOSSY,
    P3_RED,
    PRIMARIES,
    RED,
    ROUNDING,
    WHOLE,
    assert_alike,
    grid,
    iccp,
    parametric,
)
from tests.unit.proxy.imaging.reference import by_littlecms, color_at, picture, pixels

PAIRS = [
    # Curves are applied before primaries, and know nothing of them: each of both here, all pairs in the long form.
    pytest.param(curve, primaries, marks=() if curve == "table" or primaries == "Adobe RGB" else pytest.mark.long)
    for curve in ("identity", "gamma 1.8", "table", "CIE 122", "sRGB")
    for primaries in PRIMARIES
]


@pytest.mark.promise("A12")
@pytest.mark.heavy
@pytest.mark.parametrize(("depth", "channels"), [(8, 3), (16, 4)])
@pytest.mark.parametrize(("curve", "primaries"), PAIRS)
def test_colour_profile_is_applied_as_by_littlecms(curve: str, primaries: str, depth: int, channels: int) -> None:
    profile = rgb_profile("sRGB built-in", PRIMARIES[primaries], CURVES[curve])
    colors = grid()
    samples = np.dstack([colors, np.full((100, 100), 255)])[:, :, :channels] * (257 if depth == 16 else 1)

    shown = picture(raw_png(samples, depth, iccp(profile)), WHOLE)

    expected = by_littlecms(Image.fromarray(colors.astype(np.uint8)), profile)
    assert_alike(shown, expected, depth)


@pytest.mark.heavy
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
def test_profile_of_srgbs_curve_under_any_name_changes_no_pixel(name: str, curve: str) -> None:
    image = photograph("coffee.png")

    assert to_srgb(image, rgb_profile(name, SRGB_XY, CURVES[curve])).tobytes() == image.tobytes()


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
def test_pieces_of_a_jpegs_profile_are_joined_from_any_place(name: str, before: bytes) -> None:
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


@pytest.mark.parametrize("curve", ["identity", "gamma 1.8", "table"])
@pytest.mark.parametrize("depth", [8, 16])
def test_curve_of_a_grey_profile_in_cielab_is_of_lightness(curve: str, depth: int) -> None:
    lightness = grey_profile("Lightness", CURVES[curve], b"Lab ")
    greys = np.arange(100).reshape(1, 100).repeat(100, 0) * 255 // 99
    samples = greys * (257 if depth == 16 else 1)

    shown = picture(raw_png(samples, depth, iccp(lightness)), WHOLE)

    expected = pixels(by_littlecms(Image.fromarray(greys.astype(np.uint8)), lightness))
    assert np.abs(pixels(shown) - expected).max() <= ROUNDING


def test_tables_of_a_profile_count_before_its_curves() -> None:
    """Also one for the second rendering intent alone, which littleCMS looks for first."""
    curve = {b"kTRC": gamma_curve(1.0)}
    plain, mixed = (
        icc_profile(b"mntr", b"GRAY", b"XYZ ", "Grey", tags) for tags in (curve, curve | {b"A2B1": b"mft2" + bytes(96)})
    )

    assert (grey_levels(plain) is None, split_curves(plain) is None) == (False, False)
    assert (grey_levels(mixed), split_curves(mixed)) == (None, None)
