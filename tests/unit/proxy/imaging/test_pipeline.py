"""Whole renderings: sizes, crops and similarity, and the independence of a file from the other targets."""

from dataclasses import asdict, dataclass, replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from proxy.imaging import pipeline
from proxy.imaging.decode import Original
from proxy.imaging.pipeline import render, resize
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from tests.camera import camera_jpeg
from tests.photographs import COLOR_PHOTOGRAPHS, photograph, photograph_bytes
from tests.pictures import animated, disc, jpeg, png, webp
from tests.unit.proxy.imaging.reference import (
    LIMITS,
    SCALED,
    color_at,
    covered,
    farthest,
    on_disk,
    picture,
    pixels,
    psnr,
    rendered,
    target,
)

OTHER_ORDER = 3  # levels: libvips scales rows first, Pillow columns; they differ more where one of them clips


BOX_FILTER = 2  # levels that the box filter before Lanczos may change


REDUCED_DECODE = 42  # dB: a JPEG scaled while decoding, against a full decode; 40 is hard to tell apart


SAME_COLOR = 6  # levels: a flat colour through lossy encoders, near an edge that rings


SMALL = [target(150, 150, format) for format in Format]


MIXED = [
    *SMALL,
    target(400, 400, Format.JPG),
    target(600, None, fit=Fit.INSIDE),
    target(800, 800, Format.WEBP),
    target(900, 900, Format.JPG),
    target(150, 150, Format.WEBP, fit=Fit.PAD),
    target(150, 150, Format.WEBP, fit=Fit.PAD, background="#204060"),
    replace(target(150, 150), enlarge=False, grayscale=True),
    replace(target(150, 150), blur=3.0),
    replace(target(150, 150), sharpen=0.5),
]
"""Every format, fit, shape and effect, and two decodes."""


EDGES = {"left": "#ff0000", "right": "#00ff00", "top": "#0000ff", "bottom": "#ffff00"}


def framed(width: int, height: int, thickness: int) -> Image.Image:
    """A grey image with a coloured band along each edge; left and right cover top and bottom."""
    image = Image.new("RGB", (width, height), "#808080")
    image.paste(EDGES["top"], (0, 0, width, thickness))
    image.paste(EDGES["bottom"], (0, height - thickness, width, height))
    image.paste(EDGES["left"], (0, 0, thickness, height))
    image.paste(EDGES["right"], (width - thickness, 0, width, height))
    return image


def quadrants(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "#ff0000")
    image.paste("#00ff00", (width // 2, 0, width, height // 2))
    image.paste("#0000ff", (0, height // 2, width // 2, height))
    image.paste("#ffff00", (width // 2, height // 2, width, height))
    return image


@pytest.mark.heavy
@pytest.mark.parametrize("sides", [(150, 450, 801), pytest.param((1200, 1600, 2400), marks=pytest.mark.slow)])
@pytest.mark.parametrize("format", Format)
def test_cover_has_its_exact_sides_in_every_format_and_density(format: Format, sides: tuple[int, ...]) -> None:
    original = photograph_bytes("retina.jpg")

    files = rendered(original, *(target(side, side, format) for side in sides))

    opened = [Image.open(BytesIO(file)) for file in files]
    assert [image.size for image in opened] == [(side, side) for side in sides]
    assert {image.format for image in opened} == {"JPEG" if format is Format.JPG else format.upper()}


@pytest.mark.parametrize("size", [(900, 300), (300, 900)])
@pytest.mark.parametrize("format", Format)
def test_cover_shows_the_middle_of_all_four_quadrants(size: tuple[int, int], format: Format) -> None:
    image = picture(png(quadrants(*size)), target(150, 150, format))

    corners = [color_at(image, x, y) for y in (0.2, 0.8) for x in (0.2, 0.8)]
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    for corner, color in zip(corners, expected, strict=True):
        assert corner == pytest.approx(color, abs=SAME_COLOR)
    # the border between the quadrants is exactly in the middle
    assert color_at(image, 0.45, 0.2) == pytest.approx((255, 0, 0), abs=SAME_COLOR)
    assert color_at(image, 0.55, 0.2) == pytest.approx((0, 255, 0), abs=SAME_COLOR)
    assert color_at(image, 0.2, 0.45) == pytest.approx((255, 0, 0), abs=SAME_COLOR)
    assert color_at(image, 0.2, 0.55) == pytest.approx((0, 0, 255), abs=SAME_COLOR)


def test_cover_of_a_landscape_crops_left_and_right_equally() -> None:
    # 900 wide becomes the 300 in the middle; bands of 310 reach 10 of the source's pixels into them: 5 of 150
    image = picture(png(framed(900, 300, 310)), target(150, 150))

    assert [color_at(image, x, 0.5) for x in (0.01, 0.99)] == [(255, 0, 0), (0, 255, 0)]
    assert (
        farthest(
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((10, 0, 140, 150)), image.crop((10, 0, 140, 150))
        )
        <= 1
    )
    thin = picture(png(framed(900, 300, 20)), target(150, 150))
    assert [color_at(thin, 0.5, y) for y in (0.01, 0.99)] == [(0, 0, 255), (255, 255, 0)]
    assert [color_at(thin, x, 0.5) for x in (0.0, 0.99)] == [(128, 128, 128), (128, 128, 128)]


def test_cover_of_a_portrait_crops_top_and_bottom_equally() -> None:
    image = picture(png(framed(300, 900, 20)), target(150, 150))

    assert [color_at(image, x, 0.5) for x in (0.01, 0.99)] == [(255, 0, 0), (0, 255, 0)]
    assert [color_at(image, 0.5, y) for y in (0.0, 0.99)] == [(128, 128, 128), (128, 128, 128)]


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(200, 200, (200, 100)), (200, None, (200, 100)), (None, 100, (200, 100)), (800, 800, (600, 300))],
)
def test_inside_keeps_every_edge_and_never_enlarges(
    width: int | None, height: int | None, size: tuple[int, int]
) -> None:
    image = picture(png(framed(600, 300, 30)), target(width, height, fit=Fit.INSIDE))

    assert image.size == size
    assert [color_at(image, *place) for place in ((0.01, 0.5), (0.99, 0.5), (0.5, 0.01), (0.5, 0.99), (0.5, 0.5))] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 0),
        (128, 128, 128),
    ]


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name in COLOR_PHOTOGRAPHS if name.endswith(".png")])
@pytest.mark.parametrize("side", [100, 150, 400])
def test_photograph_matches_one_lanczos_pass_over_its_middle(name: str, side: int, decoder: str) -> None:
    original = photograph_bytes(name)

    image, plain = picture(original, target(side, side)), covered(original, side, side)

    if decoder == "pillow":
        assert farthest(image, plain) <= BOX_FILTER
    else:
        errors = np.abs(pixels(image) - pixels(plain))
        assert errors.mean() < 0.3
        assert np.percentile(errors, 99.9) <= OTHER_ORDER


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("size", "side"),
    [
        (SCALED, 150),
        (SCALED, 400),
        pytest.param((4032, 3024), 800, marks=pytest.mark.slow),
        pytest.param((4032, 3024), 1600, marks=pytest.mark.slow),
    ],
)
def test_reduced_decode_of_a_camera_file_matches_the_full_decode(size: tuple[int, int], side: int) -> None:
    original = camera_jpeg(size=size)

    assert psnr(picture(original, target(side, side)), covered(original, side, side)) > REDUCED_DECODE


def test_progressive_jpeg_renders_as_the_baseline_one() -> None:
    image = photograph("coffee.png")

    assert picture(jpeg(image, progressive=True), target(150, 150)).tobytes() == (
        picture(jpeg(image), target(150, 150)).tobytes()
    )


@pytest.mark.promise("A13")
@pytest.mark.parametrize("format", ["WEBP", "PNG", "MPO"])
def test_first_of_several_frames_is_rendered(format: str) -> None:
    first = photograph("coffee.png")

    several = picture(animated(first, format), target(150, 150))

    single = jpeg(first, quality=75, subsampling="4:2:0") if format == "MPO" else png(first)
    assert several.tobytes() == picture(single, target(150, 150)).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "original",
    [camera_jpeg(6, SCALED), photograph_bytes("rocket.jpg"), png(disc((200, 30, 30), 200))],
    ids=["camera", "photograph", "transparent"],
)
def test_one_target_renders_the_same_bytes_as_with_all_others(original: bytes) -> None:
    together = rendered(original, *MIXED)

    alone = [rendered(original, one)[0] for one in MIXED]
    assert [MIXED[i] for i, file in enumerate(alone) if file != together[i]] == []


@pytest.mark.heavy
def test_order_of_targets_changes_no_bytes() -> None:
    original = photograph_bytes("rocket.jpg")

    assert rendered(original, *MIXED[::-1])[::-1] == rendered(original, *MIXED)


def test_targets_with_different_options_do_not_share_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True)
    class TargetWithOption(Target):
        negate: bool = False

    def resize_and_negate(original: Original, wanted: TargetWithOption) -> Image.Image:
        image = resize(original, wanted)
        return ImageOps.invert(image) if wanted.negate else image

    monkeypatch.setattr(pipeline, "resize", resize_and_negate)
    plain = TargetWithOption(**asdict(target(150, 150)))
    original, negated = png(quadrants(300, 300)), replace(plain, negate=True)

    together = rendered(original, plain, negated)

    assert together == rendered(original, plain) + rendered(original, negated)
    assert together[0] != together[1]


@pytest.mark.heavy
def test_files_are_yielded_by_decode_with_their_own_timings() -> None:
    wanted = [target(1600, 1600), target(150, 150), target(150, 150, Format.JPG), target(400, 400)]
    with on_disk(photograph_bytes("retina.jpg")) as path:
        files = list(render(path, wanted, LIMITS))

    assert [file.index for file in files] == [1, 2, 3, 0]
    assert [(file.width, file.height) for file in files] == [(150, 150), (150, 150), (400, 400), (1600, 1600)]
    assert [set(file.timings) for file in files] == [
        {"decode", "resize", "encode"},
        {"encode"},
        {"resize", "encode"},
        {"decode", "resize", "encode"},
    ]


def test_no_targets_yield_no_files() -> None:
    assert rendered(b"not even looked at") == []


def test_lossless_formats_of_the_same_image_render_the_same_bytes() -> None:
    image = photograph("chelsea.png")

    assert rendered(webp(image), *SMALL) == rendered(png(image), *SMALL)


@pytest.mark.heavy
def test_earlier_renderings_change_no_bytes() -> None:
    first = rendered(photograph_bytes("rocket.jpg"), *SMALL)

    rendered(camera_jpeg(size=SCALED), *SMALL)

    assert rendered(photograph_bytes("rocket.jpg"), *SMALL) == first
