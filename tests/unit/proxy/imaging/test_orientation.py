"""EXIF orientation: every rendering is upright."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from proxy.imaging.target import Target
from proxy.model import Fit, Focus, Position, focus_point
from tests.camera import camera_exif, camera_jpeg, exif_with_text_orientation, oriented
from tests.photographs import photograph
from tests.pictures import chunk, jpeg, png, webp
from tests.unit.proxy.imaging.reference import SCALED, covered, picture, psnr, target

ALIKE = 40  # dB: less than a JPEG of quality 97 in a turned orientation keeps
UNLIKE = 20  # dB: the similarity of a photograph to itself, turned wrongly
PASS_ORDER = 50  # dB: a sideways file is scaled vertically first, and each pass rounds and clips

SQUARE, WIDE, INSIDE = target(150, 150), target(240, 100), target(200, 200, fit=Fit.INSIDE)
PAD, KEPT = target(240, 100, fit=Fit.PAD), replace(target(600, 200), enlarge=False)
UPRIGHT = photograph("coffee.png")


@pytest.mark.promise("A10")
@pytest.mark.parametrize("wanted", [SQUARE, WIDE, INSIDE, PAD], ids=["square", "wide", "inside", "pad"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_are_rendered_upright(orientation: int, wanted: Target) -> None:
    upright = picture(oriented(UPRIGHT, 1), wanted)

    turned = picture(oriented(UPRIGHT, orientation), wanted)

    assert turned.size == upright.size
    assert psnr(turned, upright) > ALIKE


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("focus", [Focus("0.2,0.6"), Focus("0.9,0.1")])
@pytest.mark.parametrize("wide", [target(60, 100), target(240, 60)], ids=["narrow", "wide"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_focus_is_of_the_upright_image(orientation: int, wide: Target, focus: Focus) -> None:
    upright = UPRIGHT.resize((150, 100))
    x, y = focus_point(focus)
    assert wide.width
    assert wide.height
    scale = max(wide.width / 150, wide.height / 100)
    width, height = wide.width / scale, wide.height / scale
    left, top = min(max(0, 150 * x - width / 2), 150 - width), min(max(0, 100 * y - height / 2), 100 - height)
    box = (left, top, left + width, top + height)
    expected = upright.resize((wide.width, wide.height), Image.Resampling.LANCZOS, box=box)

    turned = picture(oriented(upright, orientation, "PNG"), replace(wide, position=Position.FOCUS, focus=focus))

    assert psnr(turned, expected) > PASS_ORDER


@pytest.mark.parametrize("transpose", Image.Transpose)
def test_wrong_turn_is_not_similar_to_upright(transpose: Image.Transpose) -> None:
    upright = picture(oriented(UPRIGHT, 1), SQUARE)

    assert psnr(upright.transpose(transpose), upright) < UNLIKE


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("wide", [target(120, 50), PAD, KEPT], ids=["cover", "pad", "kept"])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_in_png_and_webp_is_applied(orientation: int, format: str, wide: Target) -> None:
    upright = UPRIGHT.resize((150, 100))

    assert psnr(picture(oriented(upright, orientation, format), wide), picture(png(upright), wide)) > PASS_ORDER


@pytest.mark.parametrize(
    ("width", "height", "size"), [(100, None, (100, 150)), (None, 150, (100, 150)), (150, 150, (100, 150))]
)
def test_sides_of_a_size_apply_to_the_upright_image(
    width: int | None, height: int | None, size: tuple[int, int]
) -> None:
    portrait = UPRIGHT.transpose(Image.Transpose.ROTATE_90)

    assert picture(oriented(portrait, 6), target(width, height, fit=Fit.INSIDE)).size == size


@pytest.mark.promise("A8")
@pytest.mark.heavy
def test_sideways_camera_file_is_decoded_at_a_reduced_scale_and_turned() -> None:
    original = camera_jpeg(6, SCALED)

    assert psnr(picture(original, target(400, 400)), covered(original, 400, 400)) > ALIKE


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_invalid_orientation_is_ignored(orientation: int) -> None:
    assert picture(oriented(UPRIGHT, orientation, "PNG"), WIDE).tobytes() == picture(png(UPRIGHT), WIDE).tobytes()


@pytest.mark.promise("A10")
def test_text_orientation_is_ignored() -> None:
    text = jpeg(UPRIGHT, exif=exif_with_text_orientation(b"<?php phpinfo();"))

    assert picture(text, WIDE).tobytes() == picture(jpeg(UPRIGHT), WIDE).tobytes()


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage, and nothing but garbage",
        b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff",
        b"Exif\0\0II\x2a\0\xff\xff\xff\xff",
        exif_with_text_orientation(b"")[:-6],
    ],
    ids=["empty", "garbage", "endless", "far away", "cut"],
)
def test_broken_exif_is_ignored(exif: bytes) -> None:
    assert picture(jpeg(UPRIGHT, exif=exif), WIDE).tobytes() == picture(jpeg(UPRIGHT), WIDE).tobytes()


@pytest.mark.usefixtures("decoder")
@pytest.mark.promise("A10")
@pytest.mark.parametrize("exif", [Image.Exif(), camera_exif(1)], ids=["no EXIF", "EXIF of 1"])
@pytest.mark.parametrize("write", [jpeg, webp])
def test_orientation_in_xmp_is_ignored(write: Callable[..., bytes], exif: Image.Exif) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'

    turned = write(UPRIGHT, xmp=xmp, exif=exif)

    assert b"Orientation" in turned
    assert picture(turned, WIDE).tobytes() == picture(write(UPRIGHT), WIDE).tobytes()


@pytest.mark.usefixtures("decoder")
def test_orientation_in_a_pngs_xmp_is_ignored_and_in_its_old_exif_text_applied() -> None:
    plain = png(UPRIGHT)
    xmp = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>')
    exif = camera_exif(6).tobytes()
    text = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n" % len(exif) + exif.hex().encode())

    assert picture(plain[:33] + xmp + plain[33:], WIDE).tobytes() == picture(plain, WIDE).tobytes()
    assert picture(plain[:33] + text + plain[33:], INSIDE).size == picture(plain, INSIDE).size[::-1]
