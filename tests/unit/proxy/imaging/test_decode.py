"""Decoding: the scale, and the agreement of both decoders."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from proxy.errors import Undecodable
from proxy.imaging import vips
from proxy.imaging.alpha import unpremultiply
from proxy.imaging.decode import Original, decode
from tests.camera import camera_exif
from tests.photographs import photograph
from tests.pictures import chunk, disc, jpeg, png, webp
from tests.unit.proxy.imaging.reference import LIMITS, farthest, on_disk, pixels, psnr

TIER = 100  # pixels: reduces small images as 800 reduces large ones
LARGE = photograph("coffee.png").resize((487, 412), Image.Resampling.BICUBIC)
LARGE_SIDE = LARGE.height
ROUNDING = 2  # levels
SAME_PICTURE = 38.0  # dB; libwebp scales luma and chroma separately, Pillow scales colours
FEW_COLORS = LARGE.quantize(60, dither=Image.Dither.NONE)
FEW_RGB = FEW_COLORS.convert("RGB")


def decoded(original: bytes, tier: int = TIER) -> Original:
    with on_disk(original) as path:
        return decode(path, tier, LIMITS)


def both(original: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Original, Original]:
    """Decodes by libvips and by Pillow."""
    by_vips = decoded(original)
    with monkeypatch.context() as patch:
        patch.setattr(vips, "is_installed", lambda: False)
        return by_vips, decoded(original)


def transparent(side: int) -> Image.Image:
    """An image with one half half-transparent, and a fully transparent rim."""
    image = disc((200, 30, 30), side)
    image.putalpha(image.getchannel("A").point(lambda alpha: alpha // 2))
    return image


PNGS: dict[str, Callable[[], bytes]] = {
    "photograph": lambda: png(LARGE, compress_level=1),
    "transparent": lambda: png(transparent(LARGE_SIDE)),
    "grey": lambda: png(LARGE.convert("L"), compress_level=1),
    "grey, transparent": lambda: png(transparent(LARGE_SIDE).convert("LA")),
    "palette": lambda: png(FEW_COLORS),
    "palette with a transparent colour": lambda: png(FEW_COLORS, transparency=3),
    "palette of alphas": lambda: png(transparent(LARGE_SIDE).quantize(40)),
    "bitmap": lambda: png(LARGE.convert("1")),
    "colour key": lambda: png(FEW_RGB, transparency=FEW_RGB.getpixel((0, 0))),
    "grey key": lambda: png(FEW_RGB.convert("L"), transparency=FEW_RGB.convert("L").getpixel((0, 0))),
    "small": lambda: png(photograph("coffee.png").resize((150, 120))),
    "small, transparent": lambda: png(transparent(150)),
}


@pytest.mark.promise("A12")
@pytest.mark.parametrize("name", PNGS)
def test_png_is_decoded_alike_by_both_libraries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_vips, by_pillow = both(PNGS[name](), monkeypatch)

    assert (by_vips.pixels.mode, by_vips.pixels.size, by_vips.scale) == (
        by_pillow.pixels.mode,
        by_pillow.pixels.size,
        by_pillow.scale,
    )
    assert farthest(*[on_grey(original, original.pixels.size) for original in (by_vips, by_pillow)]) <= ROUNDING


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("name", ["photograph", "transparent"])
def test_webp_is_decoded_alike_by_both_libraries_but_for_scaling(
    name: str, lossless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = LARGE if name == "photograph" else transparent(LARGE_SIDE)
    by_vips, by_pillow = both(webp(image, lossless=lossless, method=0), monkeypatch)

    scaled = name == "photograph" or lossless  # libwebp does not premultiply lossy images when it scales them
    assert min(by_vips.pixels.size) == (150 if scaled else 206)
    assert psnr(*[on_grey(original, (75, 75)) for original in (by_vips, by_pillow)]) > SAME_PICTURE


def on_grey(original: Original, size: tuple[int, int]) -> Image.Image:
    """Composites over grey, because the colours of transparent pixels do not matter."""
    image = unpremultiply(original.pixels).convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", size, "#808080")
    canvas.alpha_composite(image)
    return canvas.convert("RGB")


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    ("side", "tier", "factor"), [(199, 100, 1), (200, 100, 1), (399, 100, 1), (400, 100, 2), (400, 200, 1)]
)
def test_png_is_reduced_by_an_integer_to_at_least_twice_the_tier(side: int, tier: int, factor: int) -> None:
    original = decoded(png(Image.new("L", (side + 1, side), 7)), tier)

    assert original.size == (side + 1, side)
    assert original.scale == (1 / factor, 1 / factor)
    assert original.pixels.size == (-(-(side + 1) // factor), -(-side // factor))


@pytest.mark.usefixtures("decoder")
def test_reduced_pixel_is_the_mean_of_its_square() -> None:
    samples = np.random.default_rng(5).integers(0, 256, (601, 607), np.uint8)
    whole = samples[:600, :606].reshape(200, 3, 202, 3).mean((1, 3))

    reduced = pixels(decoded(png(Image.fromarray(samples), compress_level=0)).pixels, "L")

    assert reduced.shape == (201, 203)
    error = reduced[:200, :202].astype(float) - whole
    assert np.abs(error).max() <= 0.56
    assert abs(error.mean()) < 0.2  # truncation would take half a level
    assert abs(float(reduced[200, 0]) - samples[600, :3].mean()) <= 1


@pytest.mark.usefixtures("decoder")
def test_transparent_pixels_do_not_colour_their_neighbours() -> None:
    samples = np.zeros((400, 400, 4), np.uint8)
    samples[:, ::2] = (250, 100, 50, 255)  # every other column; green shines in none of the means
    samples[:, 1::2] = (0, 255, 0, 0)

    pixel = decoded(png(Image.fromarray(samples), compress_level=1)).pixels.convert("RGBA").getpixel((7, 7))

    assert np.array(pixel) == pytest.approx((250, 100, 50, 128), abs=3)


def test_jpeg_scale_is_the_decoders_and_not_that_of_the_rounded_sides() -> None:
    original = decoded(jpeg(Image.new("RGB", (501, 375), "grey")))

    assert original.pixels.size == (251, 188)
    assert original.scale == (0.5, 0.5)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("late", [False, True])
def test_exif_after_the_pixels_of_a_png_is_read(late: bool) -> None:
    plain = png(photograph("coffee.png"))
    exif = chunk(b"eXIf", camera_exif(6).tobytes().removeprefix(b"Exif\0\0"))
    at = plain.rindex(b"\0\0\0\0IEND") if late else plain.index(b"IDAT") - 4

    original = decoded(plain[:at] + exif + plain[at:])

    assert original.orientation == 6
    assert original.upright_size == photograph("coffee.png").size[::-1]


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("name", ["png", "webp"])
def test_truncated_file_is_refused(name: str) -> None:
    whole = {"png": png, "webp": webp}[name](photograph("coffee.png"))

    with pytest.raises(Undecodable, match="truncated or damaged"):
        decoded(whole[: len(whole) * 2 // 3])


def test_decode_without_libvips_never_loads_libvips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vips, "is_installed", lambda: False)
    monkeypatch.setattr(vips, "_library", lambda: pytest.fail("libvips was asked"))
    file = BytesIO(webp(photograph("coffee.png")))

    assert decoded(file.getvalue()).pixels.mode == "RGB"
