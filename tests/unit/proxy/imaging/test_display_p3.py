"""Variants in Display P3: the profile, formats, backgrounds, effects, scores; and what stays in sRGB."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from proxy.imaging.auto_quality.search import encode_with_search
from proxy.imaging.auto_quality.ssimulacra2 import _CONES, Reference
from proxy.imaging.color import color_in, reached_space
from proxy.imaging.icc import display_p3_profile
from proxy.model import ColorSpace, Fit, Format
from tests.animations import Part, apng
from tests.camera import camera_exif
from tests.icc_profiles import (
    D50,
    DISPLAY_P3,
    DISPLAY_P3_XY,
    GREY_GAMMA_22,
    SRGB_XY,
    gamma_curve,
    grey_profile,
    rgb_profile,
    srgb_curve,
    to_xyz_d50,
)
from tests.photographs import photograph
from tests.pictures import jpeg, png, raw_png, webp
from tests.unit.proxy.imaging.color_sources import SRGB, cicp, gama, grid, iccp
from tests.unit.proxy.imaging.display_p3_files import GREEN, LOSSY, flat, in_p3, profile_in, wide
from tests.unit.proxy.imaging.reference import (
    by_littlecms,
    color_at,
    decoded,
    farthest,
    pixels,
    rendered,
    target,
)

BACKGROUND = "#204060"


class TestProfile:
    def test_profile_has_the_primaries_and_the_curve_of_its_definition(self) -> None:
        profile = ImageCms.ImageCmsProfile(BytesIO(display_p3_profile())).profile

        assert (profile.version, profile.profile_description, profile.xcolor_space) == (4.4, "Display P3", "RGB ")
        columns = [profile.red_colorant, profile.green_colorant, profile.blue_colorant]
        found = np.array([xyz for xyz, _ in columns]).T
        assert found == pytest.approx(to_xyz_d50(DISPLAY_P3_XY), abs=2e-5)
        assert np.sum([xyz for xyz, _ in columns], axis=0) == pytest.approx(D50, abs=3e-5)
        assert len(display_p3_profile()) == 492

    def test_profile_converts_like_the_profile_of_the_tests(self) -> None:
        colors = Image.fromarray(grid().astype(np.uint8))

        assert farthest(by_littlecms(colors, display_p3_profile(), DISPLAY_P3), colors) <= 1

    def test_adaptation_leads_from_d65_to_the_white_of_profiles(self) -> None:
        profile = ImageCms.ImageCmsProfile(BytesIO(display_p3_profile())).profile
        assert profile.chromatic_adaptation is not None

        adapted = np.array(profile.chromatic_adaptation[0]) @ [0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290]

        assert adapted == pytest.approx(D50, abs=1e-4)


class TestFormats:
    @pytest.mark.parametrize("write", [jpeg, png, webp])
    @pytest.mark.parametrize("format", Format)
    def test_variant_has_the_colour_and_the_profile_in_every_format(
        self, write: Callable[..., bytes], format: Format
    ) -> None:
        wanted = target(100, 100, format)
        original = write(flat(GREEN), icc_profile=DISPLAY_P3)

        kept, as_before = rendered(original, wide(wanted), wanted)

        assert profile_in(kept) == display_p3_profile()
        assert color_at(decoded(kept), 0.5, 0.5) == pytest.approx(GREEN, abs=LOSSY)
        assert profile_in(as_before) is None

    @pytest.mark.parametrize("kind", ["photograph", "drawing", "shadow"])
    def test_every_kind_of_png_has_the_profile(self, kind: str) -> None:
        """Pillow writes the first, the palette and the unfiltered rows are written without it."""
        image = photograph("coffee.png")
        if kind == "drawing":
            image = image.quantize(8).convert("RGB")
        if kind == "shadow":
            image = flat((250, 10, 20)).resize(image.size)
            image.putalpha(photograph("camera.png").convert("L").resize(image.size))

        [body] = rendered(png(image, icc_profile=DISPLAY_P3), wide(target(*image.size)))

        assert profile_in(body) == display_p3_profile()
        assert farthest(decoded(body), image, image.mode) <= 1

    def test_lossless_webp_has_the_profile_too(self) -> None:
        image = photograph("coffee.png").quantize(4).convert("RGB")

        [body] = rendered(png(image, icc_profile=DISPLAY_P3), wide(target(*image.size, Format.WEBP)))

        assert b"VP8L" in body
        assert profile_in(body) == display_p3_profile()

    @pytest.mark.parametrize("format", Format)
    def test_grey_image_has_no_profile(self, format: Format) -> None:
        original = png(photograph("camera.png").convert("RGB"), icc_profile=DISPLAY_P3)

        [body] = rendered(original, wide(target(150, 150, format)))

        assert profile_in(body) is None


WITHIN_SRGB = {
    "untagged": png,
    "sRGB profile": lambda image: jpeg(image, icc_profile=rgb_profile("anything", SRGB_XY, srgb_curve())),
    "sRGB primaries, gamma 1.8": lambda image: webp(image, icc_profile=rgb_profile("x", SRGB_XY, gamma_curve(1.8))),
    "sRGB chunk": lambda image: raw_png(np.asarray(image, np.int64), 8, SRGB),
    "PAL": lambda image: raw_png(np.asarray(image, np.int64), 8, cicp(5, 13, 0, 1)),
    "gamma alone": lambda image: raw_png(np.asarray(image, np.int64) * 257, 16, gama(1.0)),
    "grey, profile": lambda image: jpeg(image.convert("L"), icc_profile=GREY_GAMMA_22),
    "grey with alpha, profile": lambda image: png(image.convert("LA"), icc_profile=grey_profile("g", gamma_curve(1.0))),
    "grey, profile for colours": lambda image: png(image.convert("L"), icc_profile=DISPLAY_P3),
    "inks": lambda image: jpeg(image.convert("CMYK")),
    "broken profile": lambda image: jpeg(image, icc_profile=DISPLAY_P3[:200]),
    "palette": lambda image: png(image.quantize(64)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHIN_SRGB)
def test_original_within_srgb_gives_the_same_bytes_as_before(name: str) -> None:
    original = WITHIN_SRGB[name](photograph("coffee.png"))
    wanted = [target(150, 100, format, background=BACKGROUND, keep_exif=True) for format in Format]
    wanted.append(replace(target(150, 150, fit=Fit.PAD, background=BACKGROUND), blur=2.0))

    assert rendered(original, *map(wide, wanted)) == rendered(original, *wanted)


class TestBackground:
    @pytest.mark.parametrize("format", Format)
    def test_pad_shows_the_configured_colour(self, format: Format) -> None:
        wanted = target(160, 160, format, fit=Fit.PAD, background=BACKGROUND)

        [body] = rendered(png(flat(GREEN), icc_profile=DISPLAY_P3), wide(wanted))

        assert color_at(decoded(body), 0.5, 0.03) == pytest.approx(in_p3((32, 64, 96), SRGB_XY), abs=LOSSY)
        assert color_at(decoded(body), 0.5, 0.5) == pytest.approx(GREEN, abs=LOSSY)

    def test_transparent_image_in_jpeg_shows_the_configured_colour(self) -> None:
        image = flat((*GREEN, 0), "RGBA")
        image.paste((*GREEN, 255), (80, 0, 160, 120))

        [body] = rendered(png(image, icc_profile=DISPLAY_P3), wide(target(160, 120, Format.JPG, background="#ff8000")))

        assert color_at(decoded(body), 0.1, 0.5) == pytest.approx(in_p3((255, 128, 0), SRGB_XY), abs=LOSSY)
        assert color_at(decoded(body), 0.9, 0.5) == pytest.approx(GREEN, abs=LOSSY)

    def test_grey_background_stays_grey(self) -> None:
        for level in range(256):
            color = f"#{level:02x}{level:02x}{level:02x}"
            assert color_in(ColorSpace.DISPLAY_P3, color) == color

    def test_variants_of_one_call_have_their_own_spaces(self) -> None:
        """A size in grayscale stays in sRGB, with its background."""
        wanted = target(160, 160, fit=Fit.PAD, background=BACKGROUND)

        narrow, kept = map(decoded, rendered(png(flat(GREEN), icc_profile=DISPLAY_P3), wanted, wide(wanted)))

        assert color_at(narrow, 0.5, 0.03) == (32, 64, 96)
        assert color_at(kept, 0.5, 0.03) == pytest.approx(in_p3((32, 64, 96), SRGB_XY), abs=1)
        assert color_at(kept, 0.5, 0.5) == GREEN


@pytest.mark.parametrize("options", [{"blur": 3.0}, {"sharpen": 1.0}], ids=str)
def test_effects_work_on_the_samples_of_display_p3(options: dict[str, Any]) -> None:
    """They are those of the same samples in sRGB, because the curve is the same."""
    image = photograph("coffee.png")
    wanted = replace(target(*image.size), **options)

    [kept], [as_srgb] = rendered(png(image, icc_profile=DISPLAY_P3), wide(wanted)), rendered(png(image), wanted)

    assert farthest(decoded(kept), decoded(as_srgb)) <= 1


class TestExif:
    @pytest.mark.parametrize("format", Format)
    def test_exif_declares_srgb_only_for_srgb_colours(self, format: Format) -> None:
        wanted = target(100, 100, format, keep_exif=True)

        for to_wanted, said in ((wide, 0xFFFF), (lambda each: each, 1)):
            [body] = rendered(jpeg(flat(GREEN), icc_profile=DISPLAY_P3, exif=camera_exif()), to_wanted(wanted))
            with Image.open(BytesIO(body)) as image:
                assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] == said

    def test_exif_of_a_grey_image_declares_srgb(self) -> None:
        original = jpeg(flat((90, 90, 90)), icc_profile=DISPLAY_P3, exif=camera_exif())

        [body] = rendered(original, wide(target(100, 100, Format.JPG, keep_exif=True)))

        with Image.open(BytesIO(body)) as image:
            assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] == 1

    def test_exif_of_grey_with_alpha_depends_on_the_background(self) -> None:
        image = flat((90, 90, 90))
        image.putalpha(128)
        original = png(image, icc_profile=DISPLAY_P3, exif=camera_exif())

        for background, said in (("#ff0000", 0xFFFF), ("#808080", 1)):
            [body] = rendered(original, wide(target(100, 100, Format.JPG, keep_exif=True, background=background)))
            with Image.open(BytesIO(body)) as shown:
                assert shown.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] == said, background


class TestScores:
    def test_cones_see_the_same_light_in_both_spaces(self) -> None:
        to_srgb = np.linalg.solve(to_xyz_d50(SRGB_XY), to_xyz_d50(DISPLAY_P3_XY))
        srgb, p3 = _CONES[ColorSpace.SRGB], _CONES[ColorSpace.DISPLAY_P3]

        for cone in "LMS":
            assert p3[cone] == pytest.approx(np.array(srgb[cone]) @ to_srgb, abs=1e-7)

    @pytest.mark.heavy
    def test_same_colours_have_the_same_score_in_both_spaces(self) -> None:
        image, blurred = photograph("coffee.png"), photograph("coffee.png").reduce(2).resize((300, 200))

        def p3(picture: Image.Image) -> Image.Image:
            return Image.fromarray(np.rint(in_p3(pixels(picture), SRGB_XY)).astype(np.uint8))

        score = Reference(p3(image), ColorSpace.DISPLAY_P3).score(p3(blurred))

        assert score == pytest.approx(Reference(image).score(blurred), abs=0.1)
        assert Reference(p3(image)).score(p3(blurred)) != pytest.approx(score, abs=0.1)  # as if it were sRGB

    @pytest.mark.heavy
    @pytest.mark.parametrize("format", [Format.JPG, Format.WEBP, Format.AVIF])
    def test_quality_is_searched_for_in_display_p3(self, format: Format) -> None:
        image = photograph("coffee.png")
        wanted = wide(replace(target(*image.size, format), score=75.0))

        body, measured = encode_with_search(image.copy(), wanted, None)

        assert measured is not None
        assert measured.score == Reference(image, ColorSpace.DISPLAY_P3).score(decoded(body))
        assert measured.score != Reference(image).score(decoded(body))
        assert 75 <= measured.score < 78
        assert rendered(png(image, icc_profile=DISPLAY_P3), wanted) == [body]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBa"])
def test_pixels_of_every_layout_are_recognised(mode: str) -> None:
    """Originals with alpha are premultiplied if they were reduced while decoding."""
    assert reached_space(DISPLAY_P3, mode, ColorSpace.DISPLAY_P3) is ColorSpace.DISPLAY_P3
    assert reached_space(DISPLAY_P3, mode, ColorSpace.SRGB) is ColorSpace.SRGB
    assert reached_space(GREY_GAMMA_22, mode, ColorSpace.DISPLAY_P3) is ColorSpace.SRGB


def test_animation_is_in_display_p3_too() -> None:
    parts = [Part(flat((*color, 255), "RGBA")) for color in (GREEN, (255, 0, 0), (90, 90, 90))]
    original = apng((160, 120), parts)
    header, rest = original[:33], original[33:]
    wanted = replace(target(160, 120, Format.WEBP), animated=True)

    kept, as_before = rendered(header + iccp(DISPLAY_P3) + rest, wide(wanted), wanted)

    assert profile_in(kept) == display_p3_profile()
    assert profile_in(as_before) is None
    with Image.open(BytesIO(kept)) as image:
        for number, color in enumerate([GREEN, (255, 0, 0), (90, 90, 90)]):
            image.seek(number)
            assert color_at(image, 0.5, 0.5) == pytest.approx(color, abs=LOSSY)
