"""Variants of the original's own size and format."""

import zlib
from dataclasses import replace

import deflate
import numpy as np
import pytest
from PIL import Image, ImageDraw

from proxy.imaging.decode import decode
from proxy.imaging.encode import encode
from proxy.imaging.pipeline import resize
from proxy.model import Format
from tests.camera import oriented
from tests.icc_profiles import ADOBE_RGB
from tests.photographs import photograph
from tests.pictures import chunk, jpeg, png, save, webp
from tests.unit.proxy.imaging.reference import (
    LIMITS,
    decoded,
    farthest,
    on_disk,
    psnr,
    rendered,
    target,
)


@pytest.mark.parametrize("format", [Format.JPG, Format.WEBP])
def test_variant_of_the_originals_size_and_format_takes_no_more_bytes(format: Format) -> None:
    image = photograph("coffee.png").resize((200, 200))
    original = save(image, "JPEG" if format is Format.JPG else "WEBP", quality=60)

    [same, smaller] = rendered(original, target(200, 200, format), target(199, 199, format))

    assert 0.7 * len(original) < len(same) <= len(original)
    assert len(smaller) > len(original)  # at the fixed quality
    assert psnr(decoded(same), image) > psnr(decoded(original), image) - 2


def smooth() -> Image.Image:
    """A gradient of many colours, which row filters suit although it looks like a photograph by their number."""
    down, around = Image.linear_gradient("L").resize((200, 200)), Image.radial_gradient("L").resize((200, 200))
    return Image.merge("RGB", (down, around, Image.new("L", down.size, 90)))


def few_colors(count: int = 16) -> bytes:
    """A photograph whose order of colours in the palette suits the file better than their frequency."""
    return png(photograph("camera.png").resize((200, 200)).quantize(count), compress_level=9)


def drawing() -> Image.Image:
    """Lines of text, for which libwebp's effort matters most."""
    image = Image.new("RGB", (300, 300), "white")
    for top in range(0, 300, 12):
        ImageDraw.Draw(image).text((5, top), f"{top} lines of text in {top * 7919 % 1000} words", "#303030")
    return image


COFFEE = photograph("coffee.png").resize((200, 200))
SMALL = {
    "jpeg, low quality": (jpeg(COFFEE, quality=10, subsampling="4:2:0", optimize=True), Format.JPG),
    "jpeg, low quality, progressive": (jpeg(COFFEE, quality=20, progressive=True), Format.JPG),
    "jpeg, grey": (jpeg(COFFEE.convert("L"), quality=10), Format.JPG),
    "jpeg, flat": (jpeg(Image.new("RGB", (200, 200), "red"), quality=75, optimize=True), Format.JPG),
    "webp, low quality": (webp(COFFEE, lossless=False, quality=20), Format.WEBP),
    "webp, lowest quality": (webp(COFFEE, lossless=False, quality=1), Format.WEBP),
    "webp, quality 0": (webp(COFFEE, lossless=False, quality=0, method=6), Format.WEBP),
    "webp, lossless flat": (webp(Image.new("RGB", (200, 200), (10, 120, 200)), quality=100, method=6), Format.WEBP),
    "webp, lossless gradient": (webp(Image.linear_gradient("L").convert("RGB")), Format.WEBP),
    "webp, lossless drawing": (webp(drawing(), quality=100, method=4), Format.WEBP),
    "png, optimised": (png(COFFEE, optimize=True), Format.PNG),
    "png, gradient": (png(smooth(), optimize=True), Format.PNG),
    "png, 16 colours": (few_colors(), Format.PNG),
}


@pytest.mark.heavy
@pytest.mark.parametrize("name", SMALL)
def test_copy_of_a_small_file_is_no_larger(name: str) -> None:
    original, format = SMALL[name]
    size = decoded(original).size

    [same] = rendered(original, target(*size, format))

    assert len(same) <= len(original)
    assert psnr(decoded(same), decoded(original)) > 30


def test_copied_pixels_of_a_png_come_without_its_metadata() -> None:
    hidden = chunk(b"tEXt", b"Comment\0at home")
    whole = few_colors()

    [same] = rendered(whole[:33] + hidden + whole[33:], target(200, 200))

    assert len(same) <= len(whole)
    assert hidden not in same
    assert decoded(same).tobytes() == decoded(whole).tobytes()


def test_unused_colours_of_a_palette_are_not_copied() -> None:
    whole = few_colors(20)
    start, end = whole.index(b"PLTE") - 4, whole.index(b"IDAT") - 4
    colors = chunk(b"PLTE", whole[start + 8 : start + 68] + b"<?=`$_GET[1]`?>...")
    alphas = chunk(b"tRNS", bytes([128] * 20) + b"secret")
    longer = whole[:start] + colors + alphas + whole[end:]

    [same] = rendered(longer, target(200, 200))

    assert len(same) <= len(longer)
    assert b"<?" not in same
    assert b"secret" not in same
    assert decoded(same).convert("RGBA").tobytes() == decoded(longer).convert("RGBA").tobytes()


@pytest.mark.parametrize(
    "changed",
    [png(COFFEE.quantize(16), icc_profile=ADOBE_RGB), oriented(COFFEE.quantize(16).convert("RGB"), 3, "PNG")],
    ids=["profile", "turned"],
)
def test_pixels_that_change_are_not_copied(changed: bytes) -> None:
    [same] = rendered(changed, target(200, 200))

    assert farthest(decoded(same), decoded(changed)) > 10


def test_quality_is_kept_if_sharpening_adds_detail() -> None:
    original = jpeg(photograph("coffee.png").resize((200, 200)), quality=60)
    sharper = replace(target(200, 200, Format.JPG), sharpen=2.0)

    [body] = rendered(original, sharper)

    with on_disk(original) as path:
        assert body == encode(resize(decode(path, 800, LIMITS), sharper), sharper, None)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_part_of_the_original_keeps_its_pixels(mode: str) -> None:
    """Also with alpha, where resampling at the same scale would lose levels."""
    image = Image.effect_noise((201, 103), 100).convert(mode)
    if mode != "RGB":
        image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda alpha: max(alpha, 1)))

    [body] = rendered(png(image), replace(target(400, 400, Format.PNG), enlarge=False))

    assert decoded(body).convert(mode).tobytes() == image.crop((49, 0, 152, 103)).tobytes()


@pytest.mark.parametrize("quality", [1, 15, 16, 40])
def test_low_fixed_quality_renders_a_copy(quality: int) -> None:
    original = jpeg(photograph("coffee.png").resize((120, 120)), quality=1)

    assert rendered(original, replace(target(120, 120, Format.JPG), quality=quality))


@pytest.mark.parametrize("hidden", ["rows", "bytes", "chunk"])
def test_data_behind_the_pixels_of_a_png_is_not_copied(hidden: str) -> None:
    whole = few_colors()
    start, end = whole.index(b"IDAT") - 4, len(whole) - 12
    packed = whole[start + 8 : end - 4]
    secret = np.random.default_rng(1).bytes(100)
    longer = {
        "rows": chunk(b"IDAT", deflate.zlib_compress(zlib.decompress(packed) + b"\0" + secret, 12)),
        "bytes": chunk(b"IDAT", packed + secret),
        "chunk": chunk(b"IDAT", packed) + chunk(b"IDAT", secret),
    }[hidden]

    [same] = rendered(whole[:start] + longer + whole[end:], target(200, 200))

    assert len(same) < len(whole)
    assert decoded(same).tobytes() == decoded(whole).tobytes()
    assert secret not in same
