"""The encoders: their settings, and how closely files match the given pixels."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, ImageDraw, ImageFont, features
from PIL.JpegImagePlugin import JpegImageFile

from proxy.imaging.content import has_chroma_edges
from proxy.imaging.encode import ROBIDOUX, encode, flatten, versions
from proxy.model import Format
from tests.camera import camera_exif
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS
from tests.pictures import disc, webp
from tests.unit.proxy.imaging.reference import decoded, encoded, psnr, sized, target

PHOTOGRAPHS = [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS]
LIKENESS = {Format.JPG: 31, Format.WEBP: 33, Format.AVIF: 33}  # dB at 200x200; the worst photograph has 1 more
DRAWING = 38  # dB: JPEG of a smooth picture


def red_text() -> Image.Image:
    """Text of one colour without soft edges, as a screenshot has."""
    mask = Image.new("1", (200, 200))
    draw = ImageDraw.Draw(mask)
    for row in range(12):
        draw.text((4, 4 + 16 * row), "The quick brown fox jumps over it", 1)
    image = Image.new("RGB", mask.size)
    image.paste("#ff0000", mask=mask)
    return image


def colored_lines(size: int = 400) -> Image.Image:
    """A line of coloured text here and there on black, as a terminal shows."""
    image = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(image)
    for row, color in enumerate(["#ff3b30", "#34c759", "#5ac8fa"] * 2):
        draw.text((10, 10 + row * size // 6), "The quick brown fox " * 2, color, ImageFont.load_default(12))
    return image


def streaks() -> Image.Image:
    """Noise whose pixels are each repeated three times across: many colours, for which no palette helps."""
    samples = np.random.default_rng(1).integers(0, 256, (300, 100, 3)).astype(np.uint8)
    return Image.fromarray(samples.repeat(3, axis=1))


def frame_of(file: bytes) -> bytes:
    """A JPEG's frame header, from its marker."""
    start = next(file.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC1, 0xC2) if bytes([0xFF, kind, 0]) in file)
    return file[start : start + 2 + int.from_bytes(file[start + 2 : start + 4], "big")]


def test_jpeg_is_progressive() -> None:
    frame = frame_of(encoded(sized("coffee.png"), Format.JPG))

    assert frame[1] == 0xC2


@pytest.mark.parametrize(("show", "sampling"), [(lambda: sized("coffee.png"), 0x22), (red_text, 0x11)])
def test_jpeg_without_coloured_edges_halves_chroma(show: Callable[[], Image.Image], sampling: int) -> None:
    frame = frame_of(encoded(show(), Format.JPG))

    assert [frame[11 + 3 * component] for component in range(frame[9])] == [sampling, 0x11, 0x11]


@pytest.mark.parametrize(("show", "subsampled"), [(lambda: sized("coffee.png"), 0b1100), (red_text, 0)])
def test_avif_without_coloured_edges_halves_chroma(show: Callable[[], Image.Image], subsampled: int) -> None:
    file = encoded(show(), Format.AVIF)

    assert file[file.index(b"av1C") + 6] & 0b1100 == subsampled  # chroma_subsampling_x and _y of AV1's configuration


def test_chroma_of_few_coloured_edges_on_a_flat_ground_is_kept() -> None:
    assert frame_of(encoded(colored_lines(), Format.JPG))[11] == 0x11


def av1(image: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, "AVIF", quality=67, max_threads=1, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "show",
    [
        colored_lines,
        lambda: disc((200, 30, 40), 300),
        lambda: colored_lines(800).resize((400, 400), Image.Resampling.BOX),
        lambda: red_text().convert("L"),
    ],
    ids=["text", "logo with alpha", "text scaled down", "grey text"],
)
def test_avif_of_a_drawing_is_smaller_and_better_than_of_a_photographs_settings(
    show: Callable[[], Image.Image],
) -> None:
    image = show()

    file = encoded(image, Format.AVIF)

    plain = av1(image.convert("RGBA" if image.mode == "RGBA" else "RGB"), speed=8, subsampling="4:2:0")
    assert len(file) < 0.9 * len(plain)
    white = [flatten(each.convert("RGBA"), "#ffffff") for each in (image, decoded(file), decoded(plain))]
    assert psnr(white[1], white[0]) > psnr(white[2], white[0]) - 0.1


@pytest.mark.parametrize(
    ("image", "score", "speed"),
    [
        (sized("coffee.png"), None, 7),
        (sized("coffee.png"), 80.0, 8),
        (sized("coffee.png").resize((804, 800)), None, 8),
        (streaks(), None, 7),
        (colored_lines(804), None, 8),
        (colored_lines(), 80.0, 8),
    ],
    ids=["photograph", "in a search", "large", "noise that is flat across", "large drawing", "drawing in a search"],
)
def test_avif_of_photographs_and_large_drawings_takes_no_tools_for_screens(
    image: Image.Image, score: float | None, speed: int
) -> None:
    subsampling = "4:4:4" if has_chroma_edges(image) else "4:2:0"

    file = encode(image, replace(target(*image.size, Format.AVIF), quality=67, score=score), None)

    assert file == av1(image, speed=speed, subsampling=subsampling)


@pytest.mark.parametrize("quality", [1, 40, 82, 95, 100])
@pytest.mark.parametrize("levels", [2, 256])
def test_noise_of_any_quality_is_encoded(levels: int, quality: int) -> None:
    samples = np.random.default_rng(1).integers(0, levels, (300, 300, 3)) * (255 // (levels - 1))
    image = Image.fromarray(samples.astype(np.uint8))

    file = encode(image, replace(target(300, 300, Format.JPG), quality=quality), camera_exif(3).tobytes())

    assert decoded(file).size == (300, 300)
    assert frame_of(file)[11] == 0x11


def test_coloured_text_keeps_its_colour() -> None:
    image = red_text()

    for format in (Format.JPG, Format.AVIF, Format.WEBP):
        assert psnr(decoded(encoded(image, format)).convert("RGB"), image) > 27, format  # halved chroma gives 18


@pytest.mark.parametrize(("show", "coding"), [(red_text, b"VP8L"), (lambda: sized("coffee.png"), b"VP8 ")])
def test_webp_is_lossless_where_that_is_smaller(show: Callable[[], Image.Image], coding: bytes) -> None:
    image = show()

    file = encoded(image, Format.WEBP)

    assert file[12:16] == coding
    assert (decoded(file).tobytes() == image.tobytes()) == (coding == b"VP8L")
    assert len(file) <= len(webp(image, quality=85, method=4))


def test_lossless_webp_keeps_exif() -> None:
    exif = camera_exif(3).tobytes()
    image = red_text()

    with Image.open(BytesIO(encode(image, target(*image.size, Format.WEBP), exif))) as written:
        assert written.getexif()[0x0112] == 3


def test_grey_jpeg_has_one_component() -> None:
    assert frame_of(encoded(sized("camera.png"), Format.JPG))[9] == 1


@pytest.mark.parametrize("name", ["coffee.png", "camera.png"])
def test_jpeg_tables_are_scaled_as_libjpeg_scales_for_quality_82(name: str) -> None:
    image = decoded(encoded(sized(name), Format.JPG))
    assert isinstance(image, JpegImageFile)
    tables = image.quantization

    scaled = [(step * (200 - 2 * 82) + 50) // 100 for step in ROBIDOUX]
    assert scaled[:8] == [6, 6, 6, 6, 9, 13, 20, 31]
    assert tables == dict.fromkeys(range(len(tables)), scaled)
    assert len(tables) == (2 if name == "coffee.png" else 1)


def test_quantisation_table_keeps_robidouxs_steps_above_255() -> None:
    assert [ROBIDOUX[index] for index in (55, 62, 63)] == [311, 311, 418]  # as in ImageMagick and mozjpeg


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("format", LIKENESS)
def test_photograph_is_similar_after_encoding(name: str, format: Format) -> None:
    image = sized(name)

    assert psnr(decoded(encoded(image, format)), image) > LIKENESS[format]


@pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
def test_alpha_is_similar_after_encoding(format: Format) -> None:
    image = disc((30, 90, 200))

    assert psnr(decoded(encoded(image, format)).getchannel("A"), image.getchannel("A"), "L") > DRAWING


@pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
@pytest.mark.parametrize(("mode", "read_as"), [("L", "RGB"), ("LA", "RGBA"), ("RGB", "RGB"), ("RGBA", "RGBA")])
def test_webp_and_avif_encode_every_mode(mode: str, read_as: str, format: Format) -> None:
    image = sized("camera.png", 150).convert(mode)
    if mode.endswith("A"):
        image.putalpha(disc((0, 0, 0), 150).getchannel("A"))

    assert decoded(encoded(image, format)).mode == read_as


def test_jpeg_composites_transparency_over_the_background() -> None:
    image = Image.new("RGBA", (160, 160), (255, 0, 0, 128))

    pixel = decoded(encoded(image, Format.JPG, background="#0000ff")).getpixel((80, 80))

    assert pixel == pytest.approx((128, 0, 127), abs=3)


@pytest.mark.parametrize("format", Format)
def test_same_pixels_give_the_same_bytes(format: Format) -> None:
    image = sized("rocket.jpg")

    assert encoded(image, format) == encoded(image, format)


@pytest.mark.parametrize("format", Format)
def test_pillows_image_info_is_not_written(format: Format) -> None:
    image = sized("rocket.jpg")
    said = image.copy()
    said.info = {"comment": b"hello", "icc_profile": b"profile", "exif": b"Exif\0\0", "xmp": b"<x/>", "dpi": (300, 300)}

    assert encoded(said, format) == encoded(image, format)


def test_versions_list_every_library_that_decides_bytes() -> None:
    named = versions()

    assert named["pil"] == PIL.__version__
    assert named["zlib"] in (features.version("zlib"), zlib.ZLIB_VERSION)
    assert {name for name, version in named.items() if version} >= {
        "pil",
        "libjpeg_turbo",
        "webp",
        "avif",
        "littlecms2",
    }


def test_encoded_file_has_the_format_of_its_target() -> None:
    formats = {format: Image.open(BytesIO(encoded(sized("coffee.png", 150), format))).format for format in Format}

    assert formats == {Format.JPG: "JPEG", Format.PNG: "PNG", Format.WEBP: "WEBP", Format.AVIF: "AVIF"}
