"""Every kind of original in Display P3, against littleCMS, libvips and formulas.

The libraries read a variant by the profile that it carries.
"""

from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from proxy.imaging.icc import display_p3_profile
from tests.icc_profiles import (
    ADOBE_RGB,
    ADOBE_RGB_XY,
    COATED_INKS_LAB,
    DISPLAY_P3,
    DISPLAY_P3_XY,
    SRGB_XY,
    gamma_curve,
    press_profile,
    rgb_profile,
    srgb_curve,
    srgb_decode,
)
from tests.pictures import jpeg, png, raw_png
from tests.unit.proxy.imaging.color_sources import BT2020_XY, WHOLE, chrm, cicp, gama, grid, iccp
from tests.unit.proxy.imaging.display_p3_files import LOSSY, flat, in_p3, profile_in, wide
from tests.unit.proxy.imaging.reference import by_littlecms, color_at, decoded, on_disk, pixels, rendered

PROPHOTO_XY = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
ROUNDING = 2  # levels: 8 bits in, 8 bits out, and the tables of two profiles


PROFILES = {
    "Display P3": DISPLAY_P3,
    "Display P3, linear": rgb_profile("p3", DISPLAY_P3_XY, gamma_curve(1.0)),
    "Adobe RGB": ADOBE_RGB,
    "BT.2020": rgb_profile("2020", BT2020_XY, gamma_curve(2.4)),
    "ProPhoto": rgb_profile("prophoto", PROPHOTO_XY, gamma_curve(1.8)),
}


@pytest.mark.promise("A12")
@pytest.mark.heavy
class TestSources:
    """A hundred by a hundred colours from all over the space of the source."""

    @pytest.mark.parametrize(("depth", "channels"), [(8, 3), (8, 4), (16, 3), (16, 4)])
    @pytest.mark.parametrize("name", PROFILES)
    def test_profile_is_converted_as_by_littlecms(self, name: str, depth: int, channels: int) -> None:
        colors = grid()
        samples = np.dstack([colors, np.full((100, 100), 77)])[:, :, :channels] * (257 if depth == 16 else 1)

        [body] = rendered(raw_png(samples, depth, iccp(PROFILES[name])), wide(WHOLE))

        shown, original = decoded(body), Image.fromarray(colors.astype(np.uint8))
        errors = np.abs(pixels(shown) - pixels(by_littlecms(original, PROFILES[name], DISPLAY_P3)))
        assert np.quantile(errors, 0.97) <= ROUNDING
        assert errors.max() <= (ROUNDING if depth == 8 else 12)  # 16 bits become 8 between curve and primaries
        assert shown.mode == ("RGBA" if channels == 4 else "RGB")
        if channels == 4:
            assert shown.getchannel("A").getextrema() == (77, 77)

    @pytest.mark.parametrize("name", ["Display P3", "Adobe RGB"])
    def test_variant_looks_like_its_original_in_lab(self, name: str) -> None:
        """Only colours that Display P3 has: of Adobe RGB, those halfway to grey."""
        colors = (grid() if name == "Display P3" else 96 + grid() // 4).astype(np.uint8)
        original = Image.fromarray(colors)

        [body] = rendered(png(original, icc_profile=PROFILES[name]), wide(WHOLE))

        found = profile_in(body)
        assert found is not None
        lab = ImageCms.createProfile("LAB")
        shown, right = (
            by_littlecms(*each, lab, "LAB") for each in ((decoded(body), found), (original, PROFILES[name]))
        )
        difference = np.asarray(shown, np.uint8) - np.asarray(right, np.uint8)
        assert np.abs(difference.view(np.int8)).max() <= 2  # a and b wrap around

    @pytest.mark.parametrize("primaries", [SRGB_XY, DISPLAY_P3_XY])
    def test_libvips_shows_the_colours_of_the_original(self, primaries: Any) -> None:
        original, screen = Image.fromarray(grid().astype(np.uint8)), rgb_profile("screen", primaries, srgb_curve())

        [body] = rendered(png(original, icc_profile=DISPLAY_P3), wide(WHOLE))

        variant = pyvips.Image.new_from_buffer(body, "")
        with on_disk(screen) as path:
            shown = variant.icc_transform(str(path), embedded=True, intent="relative", black_point_compensation=True)
        assert np.abs(shown.numpy() - pixels(by_littlecms(original, DISPLAY_P3, screen))).max() <= ROUNDING

    @pytest.mark.parametrize("depth", [8, 16])
    @pytest.mark.parametrize(
        ("chunks", "primaries", "decode"),
        [
            ((cicp(12, 13, 0, 1),), DISPLAY_P3_XY, srgb_decode),
            ((cicp(9, 8, 0, 1),), BT2020_XY, lambda value: value),
            ((gama(1 / 2.2), chrm(DISPLAY_P3_XY)), DISPLAY_P3_XY, lambda value: value ** (100_000 / 45_455)),
            ((gama(1 / 2.6), chrm(ADOBE_RGB_XY)), ADOBE_RGB_XY, lambda value: value**2.6),
        ],
        ids=["cICP P3", "cICP BT.2020, linear", "cHRM P3", "cHRM Adobe RGB"],
    )
    def test_chunks_of_a_png_are_by_littlecms(self, chunks: Any, primaries: Any, decode: Any, depth: int) -> None:
        colors = grid()

        [body] = rendered(raw_png(colors * (257 if depth == 16 else 1), depth, *chunks), wide(WHOLE))

        assert profile_in(body) == display_p3_profile()
        errors = np.abs(pixels(decoded(body)) - in_p3(colors, primaries, decode))
        assert np.quantile(errors, 0.97) <= ROUNDING
        assert errors.max() <= 12

    def test_colours_of_pq_are_toned_down_and_keep_their_saturation(self) -> None:
        nits = np.array([10.0, 150.0, 20.0])  # a green of BT.2020 that P3 nearly has, and sRGB does not
        power = (nits / 10_000) ** (2610 / 16384)
        sample = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (2523 / 32)
        samples = np.tile(np.rint(sample * 65535).astype(np.int64), (100, 100, 1))

        [body] = rendered(raw_png(samples, 16, cicp(9, 16, 0, 1)), wide(WHOLE))

        right = in_p3(nits, BT2020_XY, lambda value: value * 255 / 203)
        assert profile_in(body) == display_p3_profile()
        assert color_at(decoded(body), 0.5, 0.5) == pytest.approx(right, abs=ROUNDING)

    @pytest.mark.parametrize("inks", [(255, 0, 255, 0), (255, 0, 0, 0), (0, 200, 0, 40)])
    def test_inks_beyond_srgb_are_converted_by_their_profile(self, inks: tuple[int, ...]) -> None:
        press = press_profile(inks=COATED_INKS_LAB)
        original = flat(inks, "CMYK")

        [body] = rendered(jpeg(original, icc_profile=press), wide(WHOLE))

        right = color_at(by_littlecms(original, press, DISPLAY_P3), 0.5, 0.5)
        assert color_at(decoded(body), 0.5, 0.5) == pytest.approx(right, abs=LOSSY)
        assert profile_in(body) == display_p3_profile()
