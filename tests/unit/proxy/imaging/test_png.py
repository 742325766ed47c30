"""PNG: exact, in few bits and bytes."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from benchmarks.kinds import fax
from proxy.imaging.alpha import drop_redundant_channels
from proxy.imaging.png import Metadata, _encode_filtered, _encode_runs, _encode_unfiltered, save_png
from proxy.model import Format
from tests.camera import camera_exif
from tests.icc_profiles import DISPLAY_P3
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS
from tests.pictures import disc, png
from tests.unit.proxy.imaging.reference import decoded, encoded, sized

PHOTOGRAPHS = [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS]
SIMILAR = 1.01  # of the bytes of Pillow's level 9 for the same photographs, in a twentieth of its time
WORST = 1.05  # the same, of one photograph: a smooth sky has long runs, for which there is no search
WORST_OF_OTHERS = 1.03  # the same, of grey and of cut-out photographs
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types
BLACK, WHITE, RED, CLEAR, GLASS = (0, 0, 0, 255), (255, 255, 255, 255), (255, 0, 0, 255), (0, 0, 0, 0), (9, 99, 9, 128)


def of_colors(*colors: tuple[int, ...], size: tuple[int, int] = (300, 250)) -> Image.Image:
    """An RGBA image of these colours, in no order that helps any encoder."""
    numbers = np.random.default_rng(1).integers(0, len(colors), (size[1], size[0]))
    return Image.fromarray(np.array(colors, np.uint8)[numbers])


def greys(*levels: int) -> list[tuple[int, ...]]:
    return [(level, level, level, 255) for level in levels]


def kind(file: bytes) -> tuple[int, int]:
    """The bits of a sample, and the colour type."""
    return file[24], file[25]


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        ([BLACK, WHITE], (1, GREY)),
        (greys(0, 85, 170, 255), (2, GREY)),
        (greys(*range(0, 256, 17)), (4, GREY)),
        (greys(*range(256)), (8, GREY)),
        (greys(10, 200), (1, PALETTE)),
        (greys(*range(16)), (4, PALETTE)),
        ([BLACK, WHITE, RED], (2, PALETTE)),
        ([(level, 0, 0, 255) for level in range(200)], (8, PALETTE)),
        ([CLEAR, RED], (1, PALETTE)),
        ([CLEAR, *greys(0, 255)], (2, PALETTE)),
        ([GLASS, BLACK, WHITE, RED, CLEAR], (4, PALETTE)),
        ([(level, level // 2, 7 * level % 256, 255 - level % 3) for level in range(256)], (8, PALETTE)),
        ([(level % 256, level // 256, 0, 255) for level in range(300)], (8, RGB)),
        ([(level % 256,) * 3 + (level // 256,) for level in range(300)], (8, GREY_ALPHA)),
        ([(level % 256, level // 256, 0, 9) for level in range(300)], (8, RGB_ALPHA)),
    ],
)
def test_few_colours_take_few_bits(colors: list[tuple[int, ...]], expected: tuple[int, int]) -> None:
    image = drop_redundant_channels(of_colors(*colors))

    file = encoded(image, Format.PNG)

    assert kind(file) == expected
    assert decoded(file).convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@given(st.data())
def test_any_few_pixels_are_exact(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["L", "LA", "RGB", "RGBA"]))
    width, height = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    samples = data.draw(st.binary(min_size=1, max_size=len(mode) * 40))
    stride = len(Image.new(mode, (1, 1)).tobytes())
    image = Image.frombytes(mode, (width, height), (samples * (width * height * stride))[: width * height * stride])

    file = save_png(image, {})

    with Image.open(BytesIO(file)) as written:
        assert written.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("side", [150, 400])
def test_soft_shadow_is_no_larger_than_with_channels(side: int) -> None:
    shadow = Image.radial_gradient("L").resize((side, side))
    image = Image.merge("LA", (Image.new("L", shadow.size), shadow))

    assert len(encoded(image, Format.PNG)) <= 1.01 * len(png(image, compress_level=6))


def test_transparent_entries_come_first_so_that_their_chunk_is_short() -> None:
    file = encoded(of_colors(BLACK, GLASS, WHITE, RED, CLEAR), Format.PNG)

    assert file[file.index(b"tRNS") - 4 :][:4] == (2).to_bytes(4)


def test_palette_keeps_exif() -> None:
    with Image.open(BytesIO(save_png(of_colors(BLACK, RED), {"exif": camera_exif(3).tobytes()}))) as written:
        assert (written.mode, written.getexif()[0x0112]) == ("P", 3)


def test_drawing_is_no_larger_than_pillows_best_palette() -> None:
    image = Image.new("RGB", (800, 800), "white")
    draw = ImageDraw.Draw(image)
    for number in range(60):
        left, top = 13 * number % 700, 29 * number % 700
        draw.ellipse((left, top, left + 90, top + 60), f"#{number * 3:02x}40c0")

    best = png(image.quantize(256, dither=Image.Dither.NONE), optimize=True)
    assert len(encoded(image, Format.PNG)) <= 1.02 * len(best)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photograph_is_lossless(name: str) -> None:
    image = sized(name)

    written = decoded(encoded(image, Format.PNG))

    assert written.mode == image.mode
    assert written.tobytes() == image.tobytes()


@pytest.mark.heavy
@pytest.mark.parametrize("side", [100, 200])
def test_colour_photographs_are_no_larger_than_pillows_best(side: int) -> None:
    images = [sized(name, side) for name in COLOR_PHOTOGRAPHS]

    sizes = [len(encoded(image, Format.PNG)) for image in images]
    pillows_best = [len(png(image, compress_level=9)) for image in images]

    assert sum(sizes) <= SIMILAR * sum(pillows_best)
    assert max(size / best for size, best in zip(sizes, pillows_best, strict=True)) <= WORST


@pytest.mark.parametrize("name", GREY_PHOTOGRAPHS)
@pytest.mark.parametrize("side", [100, 200])
def test_grey_photograph_is_no_larger_than_pillows_best(name: str, side: int) -> None:
    image = sized(name, side)

    assert len(encoded(image, Format.PNG)) <= WORST_OF_OTHERS * len(png(image, compress_level=9))


def test_grey_text_is_no_larger_than_without_filters() -> None:
    """Run-length coding of filtered rows, for photographs, would take a sixth more."""
    scaled = fax().convert("L").resize((400, 400), Image.Resampling.LANCZOS)

    assert len(save_png(scaled, {})) <= len(_encode_unfiltered(scaled, {}))


def test_cut_out_photograph_is_no_larger_than_pillows_best() -> None:
    image = sized("coffee.png")
    image.putalpha(disc((0, 0, 0), 200).getchannel("A"))

    assert len(encoded(image, Format.PNG)) <= WORST_OF_OTHERS * len(png(image, compress_level=9))


def test_image_with_alpha_is_lossless_and_small() -> None:
    image = disc((200, 30, 30))

    file = encoded(image, Format.PNG)

    assert decoded(file).tobytes() == image.tobytes()
    assert len(file) <= WORST_OF_OTHERS * len(png(image, compress_level=9))


def test_drawing_of_many_colours_is_nearly_as_small_as_pillows_best() -> None:
    white = Image.new("RGB", (400, 400), "white")
    white.paste(disc((20, 60, 200)), mask=disc((20, 60, 200)).getchannel("A"))
    ramp = Image.linear_gradient("L").resize((400, 400))
    image = Image.merge("RGB", (ramp, white.getchannel("G"), white.getchannel("B")))
    assert image.getcolors(256) is None

    assert len(encoded(image, Format.PNG)) <= 1.1 * len(png(image, compress_level=9))


@pytest.mark.heavy
def test_page_of_text_is_smaller_than_pillows_best() -> None:
    image = Image.new("RGB", (600, 600), "white")
    draw = ImageDraw.Draw(image)
    for row in range(28):
        draw.text((10, 5 + 21 * row), "The quick brown fox jumps over the lazy dog. " * 2, (row * 9, 40, 90), size=16)
    assert image.getcolors(256) is None

    assert len(encoded(image, Format.PNG)) < 0.95 * len(png(image, compress_level=9))


@pytest.mark.parametrize("encode", [_encode_unfiltered, _encode_filtered, _encode_runs])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_every_way_of_encoding_keeps_pixels_and_metadata(
    mode: str, encode: Callable[[Image.Image, Metadata], bytes]
) -> None:
    image = Image.effect_noise((300, 200), 20).quantize(200).convert("RGBA").convert(mode)
    metadata = {"exif": camera_exif(3).tobytes(), "icc_profile": DISPLAY_P3}

    with Image.open(BytesIO(encode(image, metadata))) as written:
        assert (written.mode, written.tobytes()) == (mode, image.tobytes())
        assert written.getexif()[0x0112] == 3
        assert written.info["icc_profile"] == DISPLAY_P3


def test_smooth_photograph_takes_fewer_bytes_than_run_lengths() -> None:
    down, around = (each.resize((400, 400)) for each in (Image.linear_gradient("L"), Image.radial_gradient("L")))
    image = Image.merge("RGB", (down, around, Image.new("L", down.size, 90)))
    assert image.getcolors(4096) is None

    assert len(save_png(image, {})) < 0.6 * len(_encode_runs(image, {}))
