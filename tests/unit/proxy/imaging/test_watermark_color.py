"""The colours of watermarks over variants in Display P3, and over those that stay in sRGB."""

from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from proxy.imaging.icc import display_p3_profile
from proxy.model import Format
from tests.animations import Part, apng
from tests.icc_profiles import DISPLAY_P3, GREY_GAMMA_22, SRGB_XY
from tests.pictures import png
from tests.unit.proxy.imaging.color_sources import iccp
from tests.unit.proxy.imaging.display_p3_files import GREEN, in_p3, profile_in, wide
from tests.unit.proxy.imaging.reference import by_littlecms, decoded, target
from tests.unit.proxy.imaging.watermarks import WIDE, files, flat, logo, marked

ORANGE = (230, 90, 40)  # its samples, taken for Display P3, would look like (249, 77, 0)
INSIDE = (177, 107)
"""A pixel in the middle of WIDE_BOX."""

WIDE_ORIGINAL = png(Image.new("RGB", (200, 120), GREEN), icc_profile=DISPLAY_P3)
CLEAR_ORIGINAL = png(Image.new("RGBA", (200, 120), (0, 0, 0, 0)), icc_profile=DISPLAY_P3)


@pytest.mark.parametrize("color", [ORANGE, (20, 120, 200), (60, 180, 70), (255, 0, 0), (0, 255, 0)])
def test_watermark_over_display_p3_shows_its_srgb_colours(color: tuple[int, ...]) -> None:
    file = logo(color, mode="RGB")

    [body] = files(WIDE_ORIGINAL, [wide(marked(file))], file)

    assert profile_in(body) == display_p3_profile()
    image = decoded(body).convert("RGB")
    assert image.getpixel(INSIDE) == pytest.approx(in_p3(color, SRGB_XY), abs=1)
    assert by_littlecms(image, display_p3_profile()).getpixel(INSIDE) == pytest.approx(color, abs=3)
    assert image.getpixel((10, 10)) == GREEN


@pytest.mark.parametrize("format", [Format.JPG, Format.WEBP, Format.AVIF])
def test_watermark_over_display_p3_shows_its_srgb_colours_in_lossy_formats(format: Format) -> None:
    """Large, because chroma bleeds over the edges, and over a colour near its own."""
    file, original = logo(ORANGE, mode="RGB"), png(Image.new("RGB", (200, 120), ORANGE), icc_profile=DISPLAY_P3)

    [body] = files(original, [wide(marked(file, target(200, 120, format), width=0.9, position="center"))], file)

    assert profile_in(body) == display_p3_profile()
    shown = by_littlecms(decoded(body).convert("RGB"), display_p3_profile())
    assert shown.getpixel((100, 60)) == pytest.approx(ORANGE, abs=3)


@pytest.mark.parametrize("alpha", [0, 1, 102, 254])
def test_alpha_of_a_watermark_is_not_converted(alpha: int) -> None:
    file = logo((*ORANGE, alpha))

    [narrow], [body] = (files(CLEAR_ORIGINAL, [wanted], file) for wanted in (marked(file), wide(marked(file))))

    assert decoded(body).convert("RGBA").getchannel("A").getpixel(INSIDE) == alpha
    assert decoded(narrow).convert("RGBA").getchannel("A").getpixel(INSIDE) == alpha
    if alpha > 1:  # premultiplied colours of fainter pixels have few levels
        assert decoded(body).getpixel(INSIDE)[:3] == pytest.approx(in_p3(ORANGE, SRGB_XY), abs=2)
        assert decoded(narrow).getpixel(INSIDE)[:3] == pytest.approx(ORANGE, abs=2)


def test_watermark_with_a_wide_profile_keeps_its_colours_beyond_srgb() -> None:
    red = (255, 0, 0)
    file = png(Image.new("RGB", (80, 40), red), icc_profile=DISPLAY_P3)

    [body] = files(WIDE_ORIGINAL, [wide(marked(file))], file)

    assert decoded(body).convert("RGB").getpixel(INSIDE) == red


@pytest.mark.parametrize("mode", ["L", "LA", "RGB"])
def test_grey_watermark_stays_grey_in_display_p3(mode: str) -> None:
    file = png(Image.new("RGB", (80, 40), (100, 100, 100)).convert(mode))

    [body] = files(WIDE_ORIGINAL, [wide(marked(file))], file)

    assert decoded(body).convert("RGB").getpixel(INSIDE) == (100, 100, 100)


@pytest.mark.parametrize("original", [flat("#e65a28"), png(Image.new("L", (200, 120), 90), icc_profile=GREY_GAMMA_22)])
@pytest.mark.parametrize("options", [{}, {"icc_profile": DISPLAY_P3}], ids=["sRGB", "Display P3"])
def test_watermark_over_an_original_within_srgb_gives_the_same_bytes_as_before(
    original: bytes, options: dict[str, bytes]
) -> None:
    file = png(Image.new("RGB", (80, 40), ORANGE), **options)

    assert files(original, [wide(marked(file))], file) == files(original, [marked(file)], file)


def test_variants_of_one_call_have_the_watermark_in_their_own_spaces() -> None:
    file = logo(ORANGE)

    narrow, kept = map(decoded, files(WIDE_ORIGINAL, [marked(file), wide(marked(file))], file))

    assert narrow.convert("RGB").getpixel(INSIDE) == ORANGE
    assert kept.convert("RGB").getpixel(INSIDE) == pytest.approx(in_p3(ORANGE, SRGB_XY), abs=1)


def test_watermark_gives_a_grey_variant_of_a_wide_original_the_profile() -> None:
    original = png(Image.new("RGB", (200, 120), (90, 90, 90)), icc_profile=DISPLAY_P3)
    file = logo(ORANGE)

    plain, watermarked = files(original, [wide(WIDE), wide(marked(file))], file)

    assert profile_in(plain) is None
    assert profile_in(watermarked) == display_p3_profile()
    assert decoded(watermarked).convert("RGB").getpixel(INSIDE) == pytest.approx(in_p3(ORANGE, SRGB_XY), abs=1)


def test_every_frame_of_an_animation_in_display_p3_shows_the_srgb_colours() -> None:
    original = apng((200, 120), [Part(Image.new("RGBA", (200, 120), color)) for color in ("#00ff00", "#ff0000")])
    file = logo(ORANGE)
    wanted = marked(file, target(200, 120, Format.WEBP), width=0.9, position="center")

    [body] = files(original[:33] + iccp(DISPLAY_P3) + original[33:], [replace(wide(wanted), animated=True)], file)

    assert profile_in(body) == display_p3_profile()
    with Image.open(BytesIO(body)) as image:
        assert image.n_frames == 2
        for number in range(2):
            image.seek(number)
            shown = by_littlecms(image.convert("RGB"), display_p3_profile())
            assert shown.getpixel((100, 60)) == pytest.approx(ORANGE, abs=3)
