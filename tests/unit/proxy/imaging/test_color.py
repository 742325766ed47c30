"""Colour conversion to sRGB. The expected colours are computed here from the definitions of the profiles."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from proxy.imaging.color import to_srgb
from proxy.model import Format
from tests.icc_profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    ADOBE_RGB_XY,
    D50,
    DISPLAY_P3,
    DISPLAY_P3_XY,
    GREY_GAMMA_22,
    INKS_LAB,
    SRGB_XY,
    Matrix,
    gamma_curve,
    grey_profile,
    press_profile,
    rgb_profile,
    srgb_curve,
    srgb_decode,
    srgb_encode,
    to_xyz_d50,
)
from tests.photographs import photograph
from tests.pictures import jpeg, png, unmarked_cmyk_jpeg, webp, ycck_jpeg
from tests.unit.proxy.imaging.reference import color_at, covered, farthest, picture, psnr, target

Color = tuple[int, ...]
PATCHES = [
    (200, 120, 80),
    (60, 160, 90),
    (90, 70, 180),
    (230, 200, 40),
    (20, 90, 130),
    (0, 255, 0),
    (255, 0, 0),
    (128, 128, 128),
    (255, 255, 255),
    (0, 0, 0),
]
FORMULA = 2  # levels: 8 bits in, 8 bits out, and curves in 16-bit tables
LOSSY = 3  # levels: the same, through JPEG, WebP or AVIF
INKS = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
FULL_INK = {
    (255, 0, 0, 0): (0, 255, 255),
    (0, 255, 0, 0): (255, 0, 255),
    (0, 0, 255, 0): (255, 255, 0),
    (0, 0, 0, 255): (0, 0, 0),
    (0, 0, 0, 0): (255, 255, 255),
    (0, 0, 0, 128): (127, 127, 127),
    (255, 255, 0, 0): (0, 0, 255),
}


def from_xyz_d50(xyz: Matrix) -> list[float]:
    return list(srgb_encode(np.asarray(np.linalg.solve(to_xyz_d50(SRGB_XY), xyz), np.float64)) * 255)


def expected_rgb(color: Color, primaries: object, decode: Callable[[Matrix], Matrix]) -> list[float]:
    assert isinstance(primaries, tuple)
    return from_xyz_d50(to_xyz_d50(primaries) @ decode(np.array(color) / 255))


def expected_lab(lab: tuple[float, float, float]) -> list[float]:
    y = (lab[0] + 16) / 116
    f = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    return from_xyz_d50(D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)))


def adobe_decode(value: Matrix) -> Matrix:
    return np.asarray(value**ADOBE_GAMMA)


def flat(mode: str, color: Color | int) -> Image.Image:
    return Image.new(mode, (160, 120), color)


def shown(original: bytes, format: Format = Format.PNG) -> Color:
    return color_at(picture(original, target(100, 100, format)), 0.5, 0.5)


@pytest.mark.promise("A12")
@pytest.mark.parametrize("color", PATCHES)
def test_display_p3_becomes_srgb(color: Color) -> None:
    assert shown(png(flat("RGB", color), icc_profile=DISPLAY_P3)) == pytest.approx(
        expected_rgb(color, DISPLAY_P3_XY, srgb_decode), abs=FORMULA
    )


@pytest.mark.promise("A12")
@pytest.mark.parametrize("color", PATCHES)
def test_adobe_rgb_becomes_srgb(color: Color) -> None:
    assert shown(png(flat("RGB", color), icc_profile=ADOBE_RGB)) == pytest.approx(
        expected_rgb(color, ADOBE_RGB_XY, adobe_decode), abs=FORMULA
    )


@pytest.mark.parametrize("write", [jpeg, webp])
@pytest.mark.parametrize("format", Format)
def test_profile_is_applied_for_every_pair_of_formats(write: Callable[..., bytes], format: Format) -> None:
    color = PATCHES[0]
    original = write(flat("RGB", color), icc_profile=DISPLAY_P3)

    assert shown(original, format) == pytest.approx(expected_rgb(color, DISPLAY_P3_XY, srgb_decode), abs=LOSSY)


def test_display_p3_photograph_is_converted() -> None:
    original = jpeg(photograph("chelsea.png"), icc_profile=DISPLAY_P3)

    image = picture(original, target(400, 400))

    assert psnr(image, covered(original, 400, 400)) > 45  # scaled before the conversion: the order hardly matters
    assert psnr(image, picture(jpeg(photograph("chelsea.png")), target(400, 400))) < 35  # it was converted


def test_alpha_is_not_converted() -> None:
    original = png(flat("RGBA", (200, 120, 80, 77)), icc_profile=DISPLAY_P3)

    pixel = picture(original, target(100, 100)).getpixel((50, 50))

    assert isinstance(pixel, tuple)
    assert pixel[3] == 77
    assert pixel[:3] == pytest.approx(expected_rgb((200, 120, 80), DISPLAY_P3_XY, srgb_decode), abs=FORMULA)


@pytest.mark.parametrize("value", [0, 20, 40, 90, 128, 200, 255])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_grey_profile_is_applied_and_grey_stays_grey(value: int, gamma: float) -> None:
    curve = GREY_GAMMA_22 if gamma == 2.2 else grey_profile("Grey", gamma_curve(gamma))

    image = picture(png(flat("L", value), icc_profile=curve), target(100, 100))

    stored = round(gamma * 256) / 256  # a profile's precision
    expected = float(srgb_encode(np.array((value / 255) ** stored))) * 255
    assert image.mode == "L"
    assert image.getextrema() == pytest.approx((expected, expected), abs=FORMULA)


@pytest.mark.promise("A12")
def test_grey_with_alpha_is_converted_by_a_grey_profile() -> None:
    linear = grey_profile("Linear grey", gamma_curve(1.0))

    image = picture(png(flat("LA", (55, 99)), icc_profile=linear), target(100, 100))

    assert image.mode == "LA"
    assert image.getpixel((50, 50)) == pytest.approx((float(srgb_encode(np.array(55 / 255))) * 255, 99), abs=FORMULA)


@pytest.mark.parametrize("format", [Format.JPG, Format.PNG])
def test_grey_with_a_colour_profile_is_written_as_grey(format: Format) -> None:
    assert picture(png(flat("RGB", (77, 77, 77)), icc_profile=DISPLAY_P3), target(100, 100, format)).mode == "L"


# CMYK


@pytest.mark.promise("A12")
@pytest.mark.parametrize(("inks", "color"), FULL_INK.items())
@pytest.mark.parametrize("write", [jpeg, unmarked_cmyk_jpeg, ycck_jpeg])
def test_cmyk_without_a_profile_is_not_inverted(
    write: Callable[[Image.Image], bytes], inks: Color, color: Color
) -> None:
    assert shown(write(flat("CMYK", inks))) == pytest.approx(color, abs=LOSSY)


@pytest.mark.parametrize("write", [jpeg, unmarked_cmyk_jpeg, ycck_jpeg])
@pytest.mark.heavy
def test_cmyk_photograph_matches_its_rgb_original(write: Callable[[Image.Image], bytes]) -> None:
    original = photograph("coffee.png")

    image = picture(write(original.convert("CMYK")), target(400, 400))

    assert psnr(image, picture(png(original), target(400, 400))) > 35  # an inverted image has less than 10


@pytest.mark.promise("A12")
@pytest.mark.parametrize("inks", INKS)
@pytest.mark.parametrize("black", [0, 1])
def test_cmyk_is_converted_by_its_profile(inks: tuple[int, int, int], black: int) -> None:
    cyan, magenta, yellow = (255 * ink for ink in inks)
    original = jpeg(flat("CMYK", (cyan, magenta, yellow, 255 * black)), icc_profile=press_profile())

    expected = [0.0, 0.0, 0.0] if black else expected_lab(INKS_LAB[inks])

    assert shown(original) == pytest.approx(expected, abs=LOSSY)


def test_darkest_press_black_becomes_screen_black() -> None:
    all_inks = jpeg(flat("CMYK", (255, 255, 255, 255)), icc_profile=press_profile(black_lightness=15.0))

    assert shown(all_inks) == pytest.approx((0, 0, 0), abs=LOSSY)  # without compensation: 38


def test_yellowish_paper_becomes_screen_white() -> None:
    paper = press_profile(paper=D50 * [0.85, 0.85, 0.7])

    assert shown(jpeg(flat("CMYK", (0, 0, 0, 0)), icc_profile=paper)) == pytest.approx((255, 255, 255), abs=LOSSY)


@pytest.mark.heavy
@pytest.mark.parametrize("format", Format)
def test_cmyk_becomes_rgb_in_every_format(format: Format) -> None:
    original = jpeg(photograph("coffee.png").convert("CMYK"), icc_profile=press_profile())

    image = picture(original, target(150, 150, format))

    assert image.mode == "RGB"
    assert psnr(image, covered(original, 150, 150)) > 30


# Profiles that are empty, broken or do not match


@pytest.mark.promise("A12")
@pytest.mark.heavy
@pytest.mark.parametrize(
    "profile",
    [b"not a profile", DISPLAY_P3[:200], DISPLAY_P3[:128], b"\0" * 200, DISPLAY_P3[:130] + b"\xff" * 400],
    ids=["text", "cut", "header", "zeros", "wild"],
)
@pytest.mark.parametrize("write", [jpeg, png, webp])
def test_broken_profile_is_ignored(write: Callable[..., bytes], profile: bytes) -> None:
    image = photograph("coffee.png")

    assert picture(write(image, icc_profile=profile), target(150, 150)).tobytes() == (
        picture(write(image), target(150, 150)).tobytes()
    )


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", GREY_GAMMA_22),
        ("RGB", press_profile()),
        ("L", DISPLAY_P3),
        ("L", press_profile()),
        ("CMYK", ADOBE_RGB),
        ("CMYK", GREY_GAMMA_22),
    ],
)
def test_profile_for_another_colour_space_is_ignored(mode: str, profile: bytes) -> None:
    image = photograph("coffee.png").convert(mode)

    assert picture(jpeg(image, icc_profile=profile), target(150, 150)).tobytes() == (
        picture(jpeg(image), target(150, 150)).tobytes()
    )


def test_srgb_profile_changes_no_pixel() -> None:
    image = photograph("coffee.png")
    profile = rgb_profile("sRGB IEC61966-2.1", SRGB_XY, srgb_curve())

    assert to_srgb(image, profile).tobytes() == image.tobytes()


def test_srgb_profile_of_another_name_changes_only_rounding() -> None:
    image = photograph("coffee.png")
    profile = rgb_profile("Of my monitor", SRGB_XY, srgb_curve())

    assert farthest(to_srgb(image, profile), image) <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_image_without_a_profile_is_unchanged(mode: str) -> None:
    image = photograph("coffee.png").convert(mode)

    converted = to_srgb(image, None)

    assert converted.mode == mode
    assert converted.tobytes() == image.tobytes()
