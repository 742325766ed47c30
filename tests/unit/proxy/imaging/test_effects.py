"""Pad, enlarge, grayscale, blur and sharpen, by their pixels."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from proxy.imaging.target import Target
from proxy.model import Fit, Format
from tests.photographs import photograph
from tests.pictures import disc, png
from tests.unit.proxy.imaging.reference import color_at, picture, pixels, target

BLUE = (32, 64, 96)
PAD = target(160, 120, fit=Fit.PAD, background="#204060")
LOSSY = 6  # levels: a flat colour through lossy encoders


def halves(width: int, height: int) -> Image.Image:
    """Red, and green on the right."""
    image = Image.new("RGB", (width, height), "#ff0000")
    image.paste("#00ff00", (width // 2, 0, width, height))
    return image


def faded(color: tuple[int, int, int], side: int = 120) -> Image.Image:
    """One colour, from transparent to opaque."""
    image = Image.new("RGB", (side, side), color)
    image.putalpha(Image.linear_gradient("L").resize((side, side)))
    return image


def step(side: int = 120, low: int = 0, high: int = 255) -> Image.Image:
    image = Image.new("L", (side, side), low)
    image.paste(high, (side // 2, 0, side, side))
    return image


def deviation(image: Image.Image) -> float:
    """Of the slope of a blurred step, in pixels."""
    slope = np.diff(pixels(image, "L")[image.height // 2].astype(float))
    places = np.arange(len(slope))
    mean = np.average(places, weights=slope)
    return float(np.sqrt(np.average((places - mean) ** 2, weights=slope)))


class TestPad:
    @pytest.mark.parametrize("format", Format)
    def test_whole_image_is_in_the_middle_of_the_background_in_every_format(self, format: Format) -> None:
        image = picture(png(halves(300, 150)), replace(PAD, format=format, quality=90))

        assert (image.size, image.mode) == ((160, 120), "RGB")
        assert color_at(image, 0.02, 0.5) == pytest.approx((255, 0, 0), abs=LOSSY)
        assert color_at(image, 0.98, 0.5) == pytest.approx((0, 255, 0), abs=LOSSY)
        for y in (0, 0.1, 0.9, 0.99):
            assert color_at(image, 0.25, y) == pytest.approx(BLUE, abs=LOSSY)

    @pytest.mark.parametrize(("size", "bars"), [((300, 150), (0, 20)), ((150, 300), (50, 0)), ((160, 120), (0, 0))])
    def test_bars_are_exact_and_equal(self, size: tuple[int, int], bars: tuple[int, int]) -> None:
        image = picture(png(Image.new("RGB", size, "#ff0000")), PAD)

        expected = Image.new("RGB", (160, 120), BLUE)
        expected.paste("#ff0000", (bars[0], bars[1], 160 - bars[0], 120 - bars[1]))
        assert image.tobytes() == expected.tobytes()

    def test_transparent_pixels_show_the_background_in_png(self) -> None:
        image = picture(png(disc((200, 30, 30), 120)), PAD)

        assert image.mode == "RGB"
        assert [color_at(image, x, 0.01) for x in (0.01, 0.2, 0.99)] == [BLUE] * 3
        assert color_at(image, 0.5, 0.5) == (200, 30, 30)

    def test_small_image_is_enlarged_by_default(self) -> None:
        image = picture(png(Image.new("RGB", (100, 100), "#ff0000")), replace(PAD, width=300, height=300))

        assert image.getcolors() == [(300 * 300, (255, 0, 0))]

    def test_small_image_keeps_its_pixels_without_enlarge(self) -> None:
        original = photograph("coffee.png").convert("RGB").resize((121, 101))

        image = picture(png(original), replace(PAD, width=300, height=200, enlarge=False))

        assert image.crop((89, 49, 210, 150)).tobytes() == original.tobytes()
        image.paste(BLUE, (89, 49, 210, 150))
        assert image.getcolors() == [(300 * 200, BLUE)]

    def test_grey_image_on_a_grey_background_stays_grey(self) -> None:
        grey, blue = (replace(PAD, format=Format.JPG, quality=90, background=color) for color in ("#ffffff", "#204060"))

        assert picture(png(step()), grey).mode == "L"
        assert picture(png(step()), blue).mode == "RGB"


@pytest.mark.parametrize(("width", "height", "box"), [(400, 400, (10, 0, 111, 101)), (600, 200, (0, 30, 121, 70))])
def test_cover_without_enlarge_shows_the_middle_pixel_for_pixel(
    width: int, height: int, box: tuple[int, int, int, int]
) -> None:
    original = photograph("coffee.png").convert("RGB").resize((121, 101))

    image = picture(png(original), replace(target(width, height), enlarge=False))

    assert image.tobytes() == original.crop(box).tobytes()


class TestGrayscale:
    @pytest.mark.parametrize(
        ("color", "grey"), [((255, 0, 0), 54), ((0, 255, 0), 182), ((0, 0, 255), 18), ((77, 77, 77), 77)]
    )
    def test_grey_is_the_luminance_as_in_css(self, color: tuple[int, int, int], grey: int) -> None:
        image = picture(png(Image.new("RGB", (120, 120), color)), replace(target(120, 120), grayscale=True))

        assert (image.mode, image.getextrema()) == ("L", (grey, grey))

    def test_grayscale_keeps_alpha(self) -> None:
        original = faded((0, 255, 0))

        image = picture(png(original), replace(target(120, 120), grayscale=True))

        assert image.mode == "LA"
        assert image.getchannel("A").tobytes() == original.getchannel("A").tobytes()
        assert image.getchannel("L").getextrema() == (182, 182)


class TestBlur:
    @pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 12.0])
    def test_step_becomes_a_gaussian_of_this_deviation(self, sigma: float) -> None:
        image = picture(png(step()), replace(target(120, 120), blur=sigma))

        assert deviation(image) == pytest.approx(sigma, rel=0.05)

    @pytest.mark.parametrize(
        ("wanted", "sigma"),
        [
            (target(60, 60), 12.0),
            (target(120, 120), 12.0),
            (target(240, 240), 12.0),
            (replace(target(240, 240), enlarge=False), 4 * 120 / 80),
            (target(240, None, fit=Fit.INSIDE), 4 * 120 / 80),
            (target(90, None, fit=Fit.INSIDE), 12.0),
            (target(1200, None, fit=Fit.INSIDE), 4.0),
        ],
    )
    def test_deviation_is_in_css_pixels_of_the_displayed_size(self, wanted: Target, sigma: float) -> None:
        """An original of 120 pixels at density 3, of sizes from 20 to 400 CSS pixels wide."""
        image = picture(png(step()), replace(wanted, blur=4.0, density=3))

        assert deviation(image) == pytest.approx(sigma, rel=0.05)

    def test_flat_color_stays_up_to_the_edges(self) -> None:
        image = picture(png(Image.new("RGB", (120, 120), BLUE)), replace(target(120, 120), blur=750.0))

        assert image.getcolors() == [(120 * 120, BLUE)]

    def test_transparency_is_blurred_and_hidden_black_does_not_darken(self) -> None:
        image = picture(png(disc((200, 30, 30), 120)), replace(target(120, 120), blur=3.0))

        colors, alpha = pixels(image, "RGBA")[..., :3], pixels(image, "RGBA")[..., 3]
        assert 100 < alpha[np.abs(alpha - 128).argmin(axis=0)[60], 60] < 156  # a soft edge
        assert np.abs(colors[alpha > 64] - (200, 30, 30)).max() <= 4
        assert not colors[alpha == 0].any()


class TestSharpen:
    def sharpened(self, image: Image.Image, amount: float) -> Image.Image:
        return picture(png(image), replace(target(120, 120), sharpen=amount))

    def test_edge_gains_contrast_in_proportion_to_the_amount(self) -> None:
        rows = {amount: pixels(self.sharpened(step(120, 100, 150), amount), "L")[60] for amount in (0.5, 1.0)}

        gains = {amount: row[60] - 150 for amount, row in rows.items()}
        assert 3 <= gains[0.5] <= 12
        assert gains[1.0] == pytest.approx(2 * gains[0.5], abs=1)
        assert rows[1.0][59] == pytest.approx(100 - gains[1.0], abs=1)
        assert [*rows[1.0][:50], *rows[1.0][70:]] == [100] * 50 + [150] * 50

    def test_flat_color_stays(self) -> None:
        assert self.sharpened(Image.new("RGB", (120, 120), BLUE), 5).getcolors() == [(120 * 120, BLUE)]

    def test_alpha_stays_and_gives_no_halo(self) -> None:
        original = disc((200, 30, 30), 120)

        image = self.sharpened(original, 2)

        assert image.getchannel("A").tobytes() == original.getchannel("A").tobytes()
        colors, alpha = pixels(image, "RGBA")[..., :3], pixels(image, "RGBA")[..., 3]
        assert np.abs(colors[alpha > 64] - (200, 30, 30)).max() <= 6
        assert not colors[alpha == 0].any()


@pytest.mark.parametrize("wanted", [replace(PAD, blur=5.0), replace(PAD, grayscale=True), replace(PAD, sharpen=5.0)])
def test_effects_leave_the_bars_alone(wanted: Target) -> None:
    image = picture(png(halves(300, 150)), wanted)

    assert image.crop((0, 0, 160, 20)).getcolors() == [(160 * 20, BLUE)]
