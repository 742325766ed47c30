"""The encoders: their settings, and how closely files match the given pixels."""

import zlib
from io import BytesIO

import PIL
import pytest
from PIL import Image, ImageDraw, features
from PIL.JpegImagePlugin import JpegImageFile

from proxy.imaging import png as png_module
from proxy.imaging.encode import ROBIDOUX, encode, versions
from proxy.model import Format
from tests.camera import camera_exif
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS, photograph
from tests.pictures import disc, png
from tests.unit.proxy.imaging.reference import decoded, psnr, target
from tests.unit.proxy.imaging.test_metadata import png_chunks

PHOTOGRAPHS = [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS]
LIKENESS = {Format.JPG: 31, Format.WEBP: 33, Format.AVIF: 33}  # dB at 200x200; the worst photograph has 1 more
SIMILAR = 1.01  # of the bytes of Pillow's level 9 for the same photographs, in a twentieth of its time
WORST = 1.05  # the same, of one photograph: a smooth sky has long runs, for which there is no search
WORST_OF_OTHERS = 1.03  # the same, of grey and of cut-out photographs
DRAWING = 38  # dB: JPEG of a smooth picture


def sized(name: str, side: int = 200) -> Image.Image:
    return photograph(name).resize((side, side), Image.Resampling.LANCZOS)


def encoded(image: Image.Image, format: Format, background: str = "#ffffff") -> bytes:
    return encode(image.copy(), target(*image.size, format, background=background), None)


def frame_of(file: bytes) -> bytes:
    """A JPEG's frame header, from its marker."""
    start = next(file.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC1, 0xC2) if bytes([0xFF, kind, 0]) in file)
    return file[start : start + 2 + int.from_bytes(file[start + 2 : start + 4], "big")]


def test_jpeg_is_progressive() -> None:
    frame = frame_of(encoded(sized("coffee.png"), Format.JPG))

    assert frame[1] == 0xC2


def test_jpeg_chroma_is_subsampled_4_2_0() -> None:
    frame = frame_of(encoded(sized("coffee.png"), Format.JPG))

    assert [frame[11 + 3 * component] for component in range(frame[9])] == [0x22, 0x11, 0x11]


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


# PNG


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_png_of_a_photograph_is_lossless(name: str) -> None:
    image = sized(name)

    written = decoded(encoded(image, Format.PNG))

    assert written.mode == image.mode
    assert written.tobytes() == image.tobytes()


@pytest.mark.heavy
@pytest.mark.parametrize("side", [100, 200])
def test_png_of_colour_photographs_is_no_larger_than_pillows_best(side: int) -> None:
    images = [sized(name, side) for name in COLOR_PHOTOGRAPHS]

    sizes = [len(encoded(image, Format.PNG)) for image in images]
    pillows_best = [len(png(image, compress_level=9)) for image in images]

    assert sum(sizes) <= SIMILAR * sum(pillows_best)
    assert max(size / best for size, best in zip(sizes, pillows_best, strict=True)) <= WORST


@pytest.mark.parametrize("name", GREY_PHOTOGRAPHS)
@pytest.mark.parametrize("side", [100, 200])
def test_png_of_a_grey_photograph_is_no_larger_than_pillows_best(name: str, side: int) -> None:
    image = sized(name, side)

    assert len(encoded(image, Format.PNG)) <= WORST_OF_OTHERS * len(png(image, compress_level=9))


def test_png_of_a_cut_out_photograph_is_no_larger_than_pillows_best() -> None:
    image = sized("coffee.png")
    image.putalpha(disc((0, 0, 0), 200).getchannel("A"))

    assert len(encoded(image, Format.PNG)) <= WORST_OF_OTHERS * len(png(image, compress_level=9))


def test_png_with_alpha_is_lossless_and_small() -> None:
    image = disc((200, 30, 30))

    file = encoded(image, Format.PNG)

    assert decoded(file).tobytes() == image.tobytes()
    assert len(file) <= WORST_OF_OTHERS * len(png(image, compress_level=9))


@pytest.mark.parametrize("colors", [1, 2, 16, 255, 256])
def test_png_of_few_colours_is_a_palette_and_lossless(colors: int) -> None:
    palette = Image.new("P", (160, 160))
    palette.putpalette([value for index in range(256) for value in (index, 255 - index, index * 7 % 256)])
    palette.putdata([(x * y + y) % colors for y in range(160) for x in range(160)])
    image = palette.convert("RGB")

    file = encoded(image, Format.PNG)

    assert png_chunks(file) == {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    assert decoded(file).convert("RGB").tobytes() == image.tobytes()
    assert len(file) <= len(png(image, compress_level=9))


def test_png_of_257_colours_is_no_palette_and_lossless() -> None:
    image = Image.new("RGB", (257, 100))
    image.putdata([(x % 256, x // 256, 9) for _ in range(100) for x in range(257)])

    file = encoded(image, Format.PNG)

    assert png_chunks(file) == {b"IHDR", b"IDAT", b"IEND"}
    assert decoded(file).tobytes() == image.tobytes()


def test_png_of_a_drawing_of_many_colours_is_nearly_as_small_as_pillows_best() -> None:
    white = Image.new("RGB", (400, 400), "white")
    white.paste(disc((20, 60, 200)), mask=disc((20, 60, 200)).getchannel("A"))
    ramp = Image.linear_gradient("L").resize((400, 400))
    image = Image.merge("RGB", (ramp, white.getchannel("G"), white.getchannel("B")))
    assert image.getcolors(256) is None

    assert len(encoded(image, Format.PNG)) <= 1.1 * len(png(image, compress_level=9))


@pytest.mark.heavy
def test_png_of_a_page_of_text_is_smaller_than_pillows_best() -> None:
    image = Image.new("RGB", (600, 600), "white")
    draw = ImageDraw.Draw(image)
    for row in range(28):
        draw.text((10, 5 + 21 * row), "The quick brown fox jumps over the lazy dog. " * 2, (row * 9, 40, 90), size=16)
    assert image.getcolors(256) is None

    assert len(encoded(image, Format.PNG)) < 0.95 * len(png(image, compress_level=9))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_png_of_unfiltered_rows_keeps_pixels_and_exif(mode: str) -> None:
    image = Image.effect_noise((300, 200), 20).quantize(200).convert("RGBA").convert(mode)

    with Image.open(BytesIO(png_module._encode_unfiltered(image, camera_exif(3).tobytes()))) as written:
        assert (written.mode, written.tobytes()) == (mode, image.tobytes())
        assert written.getexif()[0x0112] == 3


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
