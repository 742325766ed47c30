"""Watermarks, by their pixels: places, transparency, files."""

import hashlib
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from proxy.errors import TooHeavy, Undecodable
from proxy.imaging import vips
from proxy.imaging.original_file import FileInMemory
from proxy.imaging.watermark import find_damaged, place_watermark, prepare_overlay
from proxy.model import Fit, Format, Watermark, WatermarkPosition
from tests.camera import oriented
from tests.icc_profiles import DISPLAY_P3
from tests.photographs import photograph
from tests.pictures import png, webp
from tests.unit.proxy.imaging.reference import by_littlecms, color_at, pixels, psnr, target
from tests.unit.proxy.imaging.watermarks import (
    BLUE,
    LOSSY,
    RED,
    WHITE,
    WIDE,
    WIDE_BOX,
    drawn,
    expected,
    flat,
    logo,
    marked,
)


class TestPlace:
    @pytest.mark.parametrize(
        ("position", "corner"),
        [
            (WatermarkPosition.TOP_LEFT, (3, 3)),
            (WatermarkPosition.TOP, (80, 3)),
            (WatermarkPosition.TOP_RIGHT, (157, 3)),
            (WatermarkPosition.LEFT, (3, 50)),
            (WatermarkPosition.CENTER, (80, 50)),
            (WatermarkPosition.RIGHT, (157, 50)),
            (WatermarkPosition.BOTTOM_LEFT, (3, 97)),
            (WatermarkPosition.BOTTOM, (80, 97)),
            (WatermarkPosition.BOTTOM_RIGHT, (157, 97)),
        ],
    )
    def test_positions_keep_a_margin_of_a_fortieth_of_the_shorter_side(
        self, position: WatermarkPosition, corner: tuple[int, int]
    ) -> None:
        image = drawn(flat(), marked(logo(), position=position), logo())

        assert image.tobytes() == expected(RED, (*corner, corner[0] + 40, corner[1] + 20)).tobytes()

    def test_defaults_are_a_quarter_of_the_width_at_the_bottom_right(self) -> None:
        file = logo(size=(40, 40))
        wanted = replace(WIDE, watermark=Watermark(hashlib.sha256(file).hexdigest(), 1))

        assert drawn(flat(), wanted, file).tobytes() == expected(RED, (147, 67, 197, 117)).tobytes()

    @pytest.mark.parametrize("position", WatermarkPosition)
    def test_tall_watermark_is_as_high_as_the_margins_leave_and_keeps_its_aspect_ratio(
        self, position: WatermarkPosition
    ) -> None:
        tall = Watermark("", 1, position, width=1.0)

        size, (left, top) = place_watermark((10, 40), tall, (200, 120))

        assert (size, top) == ((28, 114), 3)  # 114 * 10 / 40 = 28.5, rounded to even
        assert 3 <= left <= 200 - 28 - 3

    def test_widest_watermark_stays_inside_the_margins(self) -> None:
        assert place_watermark((80, 40), Watermark("", 1, width=1.0), (400, 400)) == ((380, 190), (10, 200))

    @pytest.mark.parametrize("canvas", [(1, 1), (1, 900), (900, 1), (2, 3)])
    @pytest.mark.parametrize("position", WatermarkPosition)
    def test_watermark_is_within_the_smallest_variants(
        self, canvas: tuple[int, int], position: WatermarkPosition
    ) -> None:
        for file in ((80, 40), (1, 2000), (2000, 1)):
            (width, height), (left, top) = place_watermark(file, Watermark("", 1, position, width=0.01), canvas)

            assert width >= 1 <= height
            assert 0 <= left <= canvas[0] - width
            assert 0 <= top <= canvas[1] - height

    def test_denser_variant_shows_the_watermark_at_the_same_place(self) -> None:
        dense = target(400, 240)

        image = drawn(flat(size=(400, 240)), marked(logo(), dense), logo())

        assert image.tobytes() == expected(RED, WIDE_BOX).resize((400, 240), Image.Resampling.NEAREST).tobytes()

    def test_open_side_and_crop_do_not_matter_but_the_pixels_of_the_variant(self) -> None:
        inside = replace(WIDE, height=None, fit=Fit.INSIDE, width=1000)  # the original is smaller

        assert drawn(flat(), marked(logo(), inside), logo()).tobytes() == expected(RED, WIDE_BOX).tobytes()


class TestTransparency:
    @pytest.mark.parametrize(
        ("opacity", "left"), [(1.0, (0, 0, 0)), (0.5, (127,) * 3), (0.25, (191,) * 3), (0.0, WHITE)]
    )
    def test_opacity_is_the_share_of_the_watermark(self, opacity: float, left: tuple[int, ...]) -> None:
        image = drawn(flat(), marked(logo("#000000"), opacity=opacity), logo("#000000")).convert("RGB")

        assert image.crop(WIDE_BOX).getextrema() == tuple((value, value) for value in left)
        image.paste(WHITE, WIDE_BOX)
        assert image.getcolors() == [(200 * 120, WHITE)]

    def test_opacity_multiplies_the_alpha_of_the_file(self) -> None:
        half = logo((0, 0, 0, 128))

        image = drawn(flat(), marked(half, opacity=0.5), half)

        assert image.getpixel((170, 105)) == pytest.approx(255 - 64, abs=1)

    def test_scaled_watermark_shows_no_colors_of_transparent_pixels(self) -> None:
        """Opaque red beside transparent green: over white, red shades have equal green and blue."""
        image = Image.new("RGBA", (400, 200), (0, 255, 0, 0))
        image.paste((255, 0, 0, 255), (0, 0, 197, 200))
        file = png(image)

        shown = pixels(drawn(flat(), marked(file), file).crop(WIDE_BOX))

        assert (shown[..., 0] == 255).all()
        assert np.abs(shown[..., 1] - shown[..., 2]).max() <= 1
        assert 0 < shown[10, 19, 1] < 255  # the edge, which is within a pixel

    def test_transparent_original_shows_only_the_watermark_with_its_alpha(self) -> None:
        file = logo((255, 0, 0, 102))

        image = drawn(flat((0, 0, 0, 0), "RGBA"), marked(file), file)

        assert image.tobytes() == expected((255, 0, 0, 102), WIDE_BOX, (0, 0, 0, 0)).tobytes()

    def test_two_half_transparent_layers_are_composed(self) -> None:
        """Blue at 0.4 below red at 0.6: alpha 0.6 + 0.4 * 0.4 = 0.76, red 0.6 / 0.76, blue 0.16 / 0.76."""
        file = logo((255, 0, 0, 153))

        image = drawn(flat((0, 0, 255, 102), "RGBA"), marked(file), file)

        assert image.getpixel((10, 10)) == (0, 0, 255, 102)
        assert image.getpixel((170, 105)) == pytest.approx((201, 0, 54, 194), abs=1)

    def test_jpeg_of_a_transparent_original_shows_the_watermark_over_the_background(self) -> None:
        file = logo((255, 0, 0, 128))
        wanted = marked(file, target(200, 120, Format.JPG, background="#00ff00"), width=0.9, position="center")

        image = drawn(flat((0, 0, 0, 0), "RGBA"), wanted, file)

        assert color_at(image, 0.02, 0.5) == pytest.approx((0, 255, 0), abs=LOSSY)
        assert color_at(image, 0.5, 0.5) == pytest.approx((128, 127, 0), abs=LOSSY)

    @pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
    def test_formats_with_alpha_keep_both(self, format: Format) -> None:
        wanted = marked(logo(), target(200, 120, format), width=0.9, position="center")

        image = drawn(flat((0, 0, 0, 0), "RGBA"), wanted, logo())

        assert image.mode == "RGBA"
        assert image.getchannel("A").getpixel((1, 1)) <= LOSSY
        assert image.getpixel((100, 60)) == pytest.approx((*RED, 255), abs=LOSSY)


class TestFile:
    def test_profile_is_converted_to_srgb(self) -> None:
        source = Image.new("RGB", (80, 40), (230, 60, 40))
        file = png(source, icc_profile=DISPLAY_P3)

        image = drawn(flat(), marked(file), file)

        color = by_littlecms(source, DISPLAY_P3).getpixel((0, 0))
        assert color != (230, 60, 40)
        assert image.getpixel((170, 105)) == pytest.approx(color, abs=1)

    def test_orientation_is_applied(self) -> None:
        upright = Image.new("RGB", (80, 40), RED)
        upright.paste(BLUE, (40, 0, 80, 40))

        file = oriented(upright, 6, "PNG")

        shown = drawn(flat(), marked(file), file)
        assert [color_at(shown.crop(WIDE_BOX), x, 0.5) for x in (0.2, 0.8)] == [RED, BLUE]
        shown.paste(WHITE, WIDE_BOX)
        assert shown.getextrema() == ((255, 255),) * 3

    @pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 95}], ids=["lossless", "lossy"])
    @pytest.mark.parametrize("by_vips", [True, False])
    def test_webp_is_drawn_as_png(
        self, options: dict[str, Any], by_vips: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = photograph("coffee.png").convert("RGB").resize((160, 80))
        image.putalpha(Image.linear_gradient("L").resize((160, 80)))
        file, reference = webp(image, **options), png(image)
        same = drawn(flat(BLUE), marked(reference), reference)
        if not by_vips:
            monkeypatch.setattr(vips, "is_installed", lambda: False)

        assert psnr(drawn(flat(BLUE), marked(file), file), same) > (60 if "lossless" in options else 35)

    def test_photograph_is_scaled_by_lanczos(self) -> None:
        image = photograph("coffee.png").convert("RGB").resize((400, 200))
        file = png(image)

        shown = drawn(flat(), marked(file), file).crop(WIDE_BOX)

        assert psnr(shown, image.resize((40, 20), Image.Resampling.LANCZOS)) > 40

    def test_file_that_needs_too_much_memory_is_not_damaged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("proxy.imaging.watermark.decode", Mock(side_effect=TooHeavy("It needs 300 MB.")))

        assert find_damaged({"sound": FileInMemory(logo())}) is None

    def test_damaged_file_is_found(self) -> None:
        sound, whole = logo(), png(photograph("coffee.png"))
        known = {"sound": FileInMemory(sound), "cut": FileInMemory(whole[: len(whole) // 2])}

        assert find_damaged({}) is None
        assert find_damaged({"sound": FileInMemory(sound)}) is None
        assert find_damaged(known) == "cut"
        with pytest.raises(Undecodable):
            prepare_overlay(known, replace(WIDE, watermark=Watermark("cut", 1)), (200, 120))
