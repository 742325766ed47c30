"""Inspection of an original: its format, upright size, colour and ThumbHash."""

from base64 import b64decode

import numpy as np
import pytest
import thumbhash
from PIL import Image

from proxy.errors import TooSmall, Undecodable, UnsupportedFormat
from proxy.imaging.inspect import Inspection, inspect
from tests.camera import camera_jpeg, oriented
from tests.icc_profiles import DISPLAY_P3, DISPLAY_P3_XY, SRGB_XY, srgb_decode, srgb_encode, to_xyz_d50
from tests.photographs import photograph
from tests.pictures import animated, jpeg, png, raw_png, webp
from tests.unit.proxy.imaging.reference import LIMITS, SCALED, on_disk

AVERAGE = 2  # levels: a scaled decode and two box filters, each of which rounds


def inspected(original: bytes) -> Inspection:
    with on_disk(original) as path:
        return inspect(path, LIMITS)


def rgb(color: str) -> tuple[int, ...]:
    assert len(color) == 7
    assert color == color.lower()
    return tuple(bytes.fromhex(color[1:]))


@pytest.mark.parametrize(
    ("original", "format"),
    [
        (jpeg(photograph("coffee.png")), "jpeg"),
        (jpeg(photograph("coffee.png"), progressive=True), "jpeg"),
        (animated(photograph("coffee.png"), "MPO"), "jpeg"),
        (png(photograph("coffee.png")), "png"),
        (animated(photograph("coffee.png"), "PNG"), "png"),
        (webp(photograph("coffee.png")), "webp"),
        (animated(photograph("coffee.png"), "WEBP"), "webp"),
    ],
    ids=["jpeg", "progressive", "mpo", "png", "apng", "webp", "animated webp"],
)
def test_format_is_jpeg_png_or_webp_by_content(original: bytes, format: str) -> None:
    found = inspected(original)

    assert (found.format, found.width, found.height) == (format, 300, 200)


OPAQUE = photograph("coffee.png")
WITH_A_HOLE = OPAQUE.convert("RGBA")
WITH_A_HOLE.paste((0, 0, 0, 0), (10, 10, 12, 12))


@pytest.mark.parametrize(
    ("original", "alpha", "is_animated"),
    [
        (jpeg(OPAQUE), False, False),
        (animated(OPAQUE, "MPO"), False, False),
        (png(OPAQUE), False, False),
        (png(OPAQUE.convert("RGBA")), False, False),
        (png(WITH_A_HOLE), True, False),
        (webp(WITH_A_HOLE), True, False),
        (animated(OPAQUE, "PNG"), False, True),
        (animated(OPAQUE, "WEBP"), False, True),
    ],
    ids=["jpeg", "mpo", "png", "opaque alpha", "png with a hole", "webp with a hole", "apng", "animated webp"],
)
def test_transparency_and_animation_are_found(
    decoder: str,
    original: bytes,
    alpha: bool,
    is_animated: bool,
) -> None:
    found = inspected(original)

    assert (found.alpha, found.animated) == (alpha, is_animated)


@pytest.mark.promise("A10")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_upright(orientation: int, format: str) -> None:
    found = inspected(oriented(photograph("coffee.png"), orientation, format))

    assert (found.width, found.height) == (300, 200)


@pytest.mark.heavy
def test_size_is_of_the_file_and_not_of_the_reduced_decode() -> None:
    as_held, sideways = (inspected(camera_jpeg(orientation, SCALED)) for orientation in (1, 6))

    assert (as_held.width, as_held.height) == SCALED
    assert (sideways.width, sideways.height) == SCALED[::-1]


@pytest.mark.parametrize("color", ["#123456", "#ffffff", "#000000", "#7a6b5c"])
@pytest.mark.parametrize("write", [png, webp])
def test_color_of_a_flat_image_is_exact(write: object, color: str) -> None:
    assert callable(write)
    assert inspected(write(Image.new("RGB", (300, 200), color))).color == color


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "coffee.png", "camera.png"])
def test_color_is_the_mean_of_all_pixels(name: str) -> None:
    image = photograph(name)

    expected = np.asarray(image.convert("RGB"), np.float64).mean((0, 1))

    assert rgb(inspected(png(image)).color) == pytest.approx(expected, abs=AVERAGE)


def test_color_of_a_transparent_image_is_composited_over_white() -> None:
    assert inspected(png(Image.new("RGBA", (200, 200), (255, 0, 0, 0)))).color == "#ffffff"
    assert rgb(inspected(png(Image.new("RGBA", (200, 200), (0, 0, 0, 51)))).color) == pytest.approx((204,) * 3, abs=1)


def test_color_is_converted_by_the_profile() -> None:
    linear = to_xyz_d50(DISPLAY_P3_XY) @ srgb_decode(np.array([200, 120, 80]) / 255)
    expected = srgb_encode(np.asarray(np.linalg.solve(to_xyz_d50(SRGB_XY), linear), np.float64)) * 255

    found = inspected(png(Image.new("RGB", (200, 200), (200, 120, 80)), icc_profile=DISPLAY_P3))

    assert rgb(found.color) == pytest.approx(expected, abs=AVERAGE)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_every_mode_is_inspected(mode: str) -> None:
    image = photograph("camera.png").convert(mode)

    expected = np.asarray(image.convert("L"), np.float64).mean()

    assert rgb(inspected(png(image)).color) == pytest.approx((expected,) * 3, abs=AVERAGE)


def test_cmyk_is_inspected() -> None:
    red = Image.new("CMYK", (200, 200), (0, 255, 255, 0))

    assert rgb(inspected(jpeg(red)).color) == pytest.approx((255, 0, 0), abs=AVERAGE)


@pytest.mark.promise("A12")
@pytest.mark.parametrize("side", [100, 512])
def test_16_bit_grey_is_inspected(side: int) -> None:
    grey = np.full((side, side), 0x8080, np.int64)

    assert inspected(raw_png(grey, 16)).color == "#808080"


def blocks(name: str, size: tuple[int, int], factor: int) -> tuple[Image.Image, Image.Image]:
    """A small image, and an enlargement whose reduction gives exactly the small one."""
    small = photograph(name).convert("RGB").resize(size, Image.Resampling.BOX)
    return small, small.resize((size[0] * factor, size[1] * factor), Image.Resampling.NEAREST)


@pytest.mark.parametrize("size", [(32, 32), (32, 24), (24, 32)])
@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "retina.jpg"])
def test_thumbhash_is_that_of_the_image_at_32_pixels(name: str, size: tuple[int, int]) -> None:
    small, upload = blocks(name, size, 8)

    expected = bytes(thumbhash.rgba_to_thumb_hash(*size, list(small.convert("RGBA").tobytes())))

    assert b64decode(inspected(png(upload)).thumbhash, validate=True) == expected


def test_thumbhash_is_that_of_the_upright_image() -> None:
    small, upload = blocks("astronaut.png", (32, 24), 8)

    expected = bytes(thumbhash.rgba_to_thumb_hash(32, 24, list(small.convert("RGBA").tobytes())))

    for orientation in range(1, 9):
        assert b64decode(inspected(oriented(upload, orientation, "PNG")).thumbhash) == expected


def test_truncated_foreign_and_tiny_files_are_refused() -> None:
    whole = jpeg(photograph("coffee.png"))
    with pytest.raises(Undecodable):
        inspected(whole[: len(whole) // 2])
    with pytest.raises(UnsupportedFormat):
        inspected(b"BM" + bytes(100))
    with pytest.raises(TooSmall):
        inspected(png(Image.new("L", (99, 99))))
