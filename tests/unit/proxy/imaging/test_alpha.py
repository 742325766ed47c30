"""Pixel layouts: bit depths, palettes, colour keys, grey and alpha."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

from proxy.model import Format
from tests.photographs import photograph
from tests.pictures import disc, jpeg, png, raw_png, webp
from tests.unit.proxy.imaging.reference import (
    color_at,
    decoded,
    farthest,
    halves,
    picture,
    pixels,
    psnr,
    rendered,
    target,
)

pytestmark = pytest.mark.usefixtures("decoder")


SAME_COLOR = 3  # levels: a flat colour through a lossy encoder at its quality


ROUNDING = 1  # level: 16 bits to 8, before scaling or after


WELL_VISIBLE = 64  # alpha; below, lossy encoders spend no bits on colour


RIM = 15  # levels that chroma subsampling may take from a red edge; bleeding black takes 80


RED = (255, 0, 0)


TRANSPARENT_FORMATS = (Format.PNG, Format.WEBP, Format.AVIF)


SMALL = target(150, 150)


def ramp(depth: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """256x256 samples, from black at the left to white at the right."""
    return np.tile(np.linspace(0, 2**depth - 1, 256).round().astype(np.int64), (256, 1))


@pytest.mark.parametrize("format", Format)
def test_16_bit_grey_keeps_its_whole_range(format: Format) -> None:
    image = picture(raw_png(ramp(16), 16), target(256, 256, format))

    assert image.mode == ("L" if format in (Format.JPG, Format.PNG) else "RGB")
    row = pixels(image, "L")[128]
    assert (row[0], row[-1]) == pytest.approx((0, 255), abs=ROUNDING)
    assert row == pytest.approx(np.arange(256), abs=ROUNDING if format is Format.PNG else SAME_COLOR)


def test_16_bit_grey_becomes_8_bit_grey() -> None:
    assert picture(raw_png(ramp(16), 16), SMALL).mode == "L"


def test_16_bit_grey_photograph_equals_its_8_bit_version() -> None:
    samples = np.asarray(photograph("camera.png"), np.int64)

    image = picture(raw_png(samples * 257, 16), SMALL)

    assert image.mode == "L"
    assert farthest(image, picture(raw_png(samples, 8), SMALL)) <= ROUNDING


@pytest.mark.heavy
def test_16_bit_grey_keeps_its_range_after_a_strong_reduction() -> None:
    samples = np.tile(np.asarray(photograph("camera.png"), np.int64), (3, 3))

    assert farthest(picture(raw_png(samples * 257, 16), SMALL), picture(raw_png(samples, 8), SMALL)) <= ROUNDING


@pytest.mark.heavy
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_equals_its_8_bit_version(channels: int) -> None:
    samples = np.asarray(photograph("coffee.png").convert("RGB" if channels == 3 else "RGBA"), np.int64)

    assert farthest(picture(raw_png(samples * 257, 16), SMALL), picture(raw_png(samples, 8), SMALL)) <= ROUNDING


def test_16_bit_grey_with_alpha_keeps_both() -> None:
    image = picture(halves((0x8080, 65535), (0x2020, 0), 16), SMALL)

    assert image.convert("RGBA").getpixel((30, 75)) == (128, 128, 128, 255)
    assert image.getchannel("A").getpixel((120, 75)) == 0


def test_1_bit_image_is_scaled_with_smooth_edges() -> None:
    bitmap = photograph("camera.png").convert("1")

    image = picture(png(bitmap), SMALL)

    assert image.mode == "L"
    assert farthest(image, picture(png(bitmap.convert("L")), SMALL)) == 0


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits_keeps_black_and_white(depth: int) -> None:
    image = picture(halves(0, 2**depth - 1, depth), SMALL)

    assert (color_at(image, 0.1, 0.5), color_at(image, 0.9, 0.5)) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.heavy
def test_palette_is_scaled_by_its_colours() -> None:
    few = photograph("coffee.png").quantize(64)

    assert picture(png(few), SMALL).tobytes() == picture(png(few.convert("RGB")), SMALL).tobytes()


def with_palette(left: tuple[int, ...], right: tuple[int, ...], alpha: bytes) -> bytes:
    image = Image.new("P", (256, 256), 0)
    image.putpalette([*left, *right])
    image.paste(1, (128, 0, 256, 256))
    return png(image, transparency=alpha)


@pytest.mark.parametrize("format", TRANSPARENT_FORMATS)
def test_palette_transparency_is_kept(format: Format) -> None:
    image = picture(with_palette((255, 0, 0), (0, 0, 255), bytes([0, 128])), target(150, 150, format))

    assert image.getchannel("A").getpixel((30, 75)) == pytest.approx(0, abs=SAME_COLOR)
    assert image.getchannel("A").getpixel((120, 75)) == pytest.approx(128, abs=SAME_COLOR)
    assert color_at(image, 0.8, 0.5) == pytest.approx((0, 0, 255), abs=SAME_COLOR)


@pytest.mark.parametrize(
    ("background", "left", "right"),
    [
        ("#ffffff", (255, 255, 255), (127, 127, 255)),
        ("#204060", (32, 64, 96), (16, 32, 176)),
    ],
)
def test_transparency_is_composited_over_the_background_in_jpeg(
    background: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    original = with_palette((255, 0, 0), (0, 0, 255), bytes([0, 128]))

    image = picture(original, target(150, 150, Format.JPG, background=background))

    assert color_at(image, 0.2, 0.5) == pytest.approx(left, abs=SAME_COLOR)
    assert color_at(image, 0.8, 0.5) == pytest.approx(right, abs=SAME_COLOR)


def visible_red(image: Image.Image, least: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """The visible colours of the disc, whose diameter is four fifths of the side."""
    everything = pixels(image, "RGBA")
    visible = everything[everything[..., 3] >= least]
    assert len(visible) == pytest.approx(np.pi * (0.4 * image.width) ** 2, rel=0.05)
    return visible[:, :3]


@pytest.mark.parametrize("original", [png(disc(RED)), webp(disc(RED))], ids=["png", "webp"])
def test_red_disc_on_transparent_black_is_red_in_every_visible_pixel(original: bytes) -> None:
    assert (visible_red(picture(original, SMALL), 8) == RED).all()


def test_red_disc_has_no_dark_rim_in_webp() -> None:
    colors = visible_red(picture(png(disc(RED)), target(150, 150, Format.WEBP)), WELL_VISIBLE)

    assert np.abs(colors - RED).max() <= RIM


def test_red_disc_has_no_dark_rim_in_avif() -> None:
    colors = visible_red(picture(png(disc(RED)), target(150, 150, Format.AVIF)), WELL_VISIBLE)

    assert np.abs(colors - RED).max() <= RIM


def test_white_disc_over_white_is_all_white() -> None:
    image = picture(png(disc((255, 255, 255))), target(150, 150, Format.JPG))

    assert (pixels(image) == 255).all()


@pytest.mark.parametrize("format", Format)
def test_fully_opaque_alpha_is_dropped(format: Format) -> None:
    image = photograph("coffee.png")
    wanted = target(150, 150, format)

    assert rendered(png(image.convert("RGBA")), wanted) == rendered(png(image), wanted)


def test_alpha_with_one_transparent_pixel_is_kept() -> None:
    image = photograph("coffee.png").convert("RGBA").resize((150, 150))
    image.putpixel((75, 75), (0, 0, 0, 0))

    assert picture(png(image), SMALL).tobytes() == image.tobytes()


@cache
def white_disc(*, lossless: bool) -> bytes:
    return webp(disc((255, 255, 255), 2000), lossless=lossless, quality=95)


@pytest.mark.slow
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("side", [150, 400, 800, 1500])
def test_hidden_black_in_webp_darkens_no_edge_at_any_scale(side: int, lossless: bool) -> None:
    image = picture(white_disc(lossless=lossless), target(side, side, background="#ffffff"))

    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    assert pixels(canvas).min() >= 250


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("write", [png, webp])
@pytest.mark.parametrize("side", [100, 150, 200])
def test_colours_of_transparent_pixels_are_removed_at_every_size(
    side: int, write: Callable[..., bytes], mode: str
) -> None:
    image = Image.new("RGBA", (150, 150), (99, 99, 99, 255))
    image.paste((77, 77, 77, 0), (0, 0, 75, 150))

    shown = decoded(rendered(write(image.convert(mode)), target(side, side))[0])

    assert shown.convert("RGBA").getpixel((10, 50)) == (0, 0, 0, 0)
    assert shown.convert("RGBA").getpixel((side - 10, 50)) == (99, 99, 99, 255)


@pytest.mark.parametrize("format", [Format.JPG, Format.PNG])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_grey_in_colour_mode_is_written_as_grey(mode: str, format: Format) -> None:
    grey = photograph("camera.png")

    image = picture(png(grey.convert(mode)), target(150, 150, format))

    assert image.mode == "L"
    assert image.tobytes() == picture(png(grey), target(150, 150, format)).tobytes()


def test_one_coloured_pixel_keeps_all_channels() -> None:
    image = photograph("camera.png").convert("RGB").resize((150, 150))
    image.putpixel((75, 75), (9, 10, 9))

    assert picture(png(image), SMALL).convert("RGB").tobytes() == image.tobytes()


def test_grey_jpeg_stays_grey() -> None:
    image = picture(jpeg(photograph("camera.png")), target(150, 150, Format.JPG))

    assert image.mode == "L"
    assert psnr(image, picture(png(photograph("camera.png")), SMALL)) > 35


def test_grey_with_alpha_keeps_both() -> None:
    grey = photograph("camera.png").convert("LA").resize((150, 150))
    grey.putalpha(disc(RED, 150).getchannel("A"))

    image = decoded(rendered(png(grey), SMALL)[0])

    assert image.mode == "LA"
    assert image.getchannel("A").tobytes() == grey.getchannel("A").tobytes()
    visible = pixels(grey, "LA")[..., 1] > 0
    assert (pixels(image, "LA")[visible] == pixels(grey, "LA")[visible]).all()
