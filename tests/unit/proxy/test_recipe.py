"""The fingerprint: it depends on everything that decides a variant's bytes, and on nothing else."""

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import features

from proxy import recipe
from proxy.imaging import encode
from proxy.imaging.target import Target
from proxy.model import ColorSpace, Fit, Focus, Format, Position, Size, Variant, Watermark, WatermarkPosition
from proxy.recipe import Recipes
from proxy.settings import Quality, Settings

BOX = Size("box", 400, 300, Fit.COVER)
PLAIN = Variant(BOX, Format.JPG)
AUTO_BOX = Size("box", 400, 300, Fit.COVER, auto_quality=True)


@pytest.fixture(autouse=True)
def in_empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def fingerprint(variant: Variant = PLAIN, **settings: Any) -> str:
    return Recipes(Settings(**settings)).fingerprint(variant)


def test_fingerprint_is_12_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", fingerprint())


def test_fingerprint_is_the_same_in_every_instance() -> None:
    recipes = Recipes(Settings())

    assert recipes.fingerprint(PLAIN) == recipes.fingerprint(PLAIN) == fingerprint()


@pytest.mark.parametrize(
    "variant",
    [
        Variant(Size("box", 401, 300, Fit.COVER), Format.JPG),
        Variant(Size("box", 400, 301, Fit.COVER), Format.JPG),
        Variant(Size("box", 300, 400, Fit.COVER), Format.JPG),
        Variant(Size("box", 400, 300, Fit.INSIDE), Format.JPG),
        Variant(Size("box", 400, None, Fit.INSIDE), Format.JPG),
        Variant(Size("box", 400, 300, Fit.PAD), Format.JPG),
        Variant(replace(BOX, enlarge=False), Format.JPG),
        Variant(replace(BOX, background="#000000"), Format.JPG),
        Variant(replace(BOX, grayscale=True), Format.JPG),
        Variant(replace(BOX, blur=2.0), Format.JPG),
        Variant(replace(BOX, sharpen=0.5), Format.JPG),
        Variant(BOX, Format.JPG, 2),
        Variant(BOX, Format.JPG, 3),
        Variant(BOX, Format.PNG),
        Variant(BOX, Format.WEBP),
        Variant(BOX, Format.AVIF),
    ],
    ids=str,
)
def test_fingerprint_changes_with_the_variant(variant: Variant) -> None:
    assert fingerprint(variant) != fingerprint()


@pytest.mark.parametrize(
    "settings",
    [{"quality": Quality(jpg=84)}, {"strip_metadata": False}, {"color_space": ColorSpace.DISPLAY_P3}],
    ids=["quality", "strip_metadata", "color_space"],
)
def test_fingerprint_changes_with_encoding_settings(settings: dict[str, Any]) -> None:
    assert fingerprint(**settings) != fingerprint()


def test_background_changes_fingerprints_of_jpeg_only() -> None:
    changed = {
        format
        for format in Format
        if fingerprint(Variant(replace(BOX, background="#000000"), format)) != fingerprint(Variant(BOX, format))
    }

    assert changed == {Format.JPG}


@pytest.mark.parametrize("format", Format)
def test_background_changes_fingerprints_of_padded_variants_in_every_format(format: Format) -> None:
    padded = Variant(replace(BOX, fit=Fit.PAD), format)
    black = Variant(replace(padded.size, background="#000000"), format)

    assert fingerprint(black) != fingerprint(padded)


def test_fingerprints_of_sizes_without_options_are_those_of_earlier_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "RENDERING_VERSION", 7)
    monkeypatch.setattr(encode, "versions", lambda _: {})

    plain, searched = ([fingerprint(Variant(size, format)) for format in Format] for size in (BOX, AUTO_BOX))

    assert plain == ["8cd23d507c71", "806b8ea5babb", "7d3a45a151af", "d357673922f3"]
    assert searched == ["05092ba3d900", "806b8ea5babb", "009e614ccf97", "ca49b93258fa"]


def test_fingerprint_changes_with_the_rendering_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    monkeypatch.setattr(recipe, "RENDERING_VERSION", recipe.RENDERING_VERSION + 1)

    assert fingerprint() != before


@pytest.mark.parametrize(
    ("library", "formats"),
    [("pil", set(Format)), ("webp", set(Format)), ("libjpeg_turbo", set(Format)), ("avif", {Format.AVIF})],
)
def test_fingerprint_changes_with_the_codecs_of_its_format(
    monkeypatch: pytest.MonkeyPatch, library: str, formats: set[Format]
) -> None:
    before = {format: fingerprint(Variant(BOX, format)) for format in Format}
    version = features.version
    monkeypatch.setattr(features, "version", lambda name: "0" if name == library else version(name))

    assert {format for format in Format if fingerprint(Variant(BOX, format)) != before[format]} == formats


def test_new_option_at_its_default_changes_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True)
    class TargetWithOption(Target):
        negate: bool = False

    before, changed = fingerprint(), {}
    for negate in (False, True):
        monkeypatch.setattr(recipe, "Target", partial(TargetWithOption, negate=negate))
        changed[negate] = fingerprint() != before

    assert changed == {False: False, True: True}


def test_fingerprint_is_independent_of_the_size_name() -> None:
    assert fingerprint(Variant(Size("other", 400, 300, Fit.COVER), Format.JPG)) == fingerprint()


def test_fingerprint_is_independent_of_the_warm_up() -> None:
    assert fingerprint(Variant(replace(BOX, warm=()), Format.JPG)) == fingerprint()


def test_fingerprint_is_independent_of_the_formats_of_the_size() -> None:
    assert fingerprint(Variant(replace(BOX, formats=(Format.JPG,)), Format.JPG)) == fingerprint()


def test_density_and_size_of_the_same_pixels_have_one_fingerprint() -> None:
    doubled = Variant(Size("double", 800, 600, Fit.COVER), Format.JPG)

    assert fingerprint(doubled) == fingerprint(Variant(BOX, Format.JPG, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"cdn_url": "https://cdn.test"},
        {"data_dir": "elsewhere"},
        {"render_processes": 7},
        {"render_timeout": 1},
        {"api_keys": ("k" * 16,)},
        {"sizes": {"only": {"width": 10}}},
        {"max_upload_mb": 20},
    ],
    ids=str,
)
def test_fingerprint_is_independent_of_settings_that_change_no_bytes(settings: dict[str, Any]) -> None:
    assert fingerprint(**settings) == fingerprint()


def test_target_has_device_pixels_and_the_settings_of_its_format() -> None:
    recipes = Recipes(Settings(quality=Quality(webp=33), strip_metadata=False))

    assert recipes.target(Variant(BOX, Format.WEBP, 2)) == Target(
        width=800, height=600, fit=Fit.COVER, format=Format.WEBP, quality=33, background="#ffffff", keep_exif=True
    )
    assert recipes.target(Variant(BOX, Format.PNG)).quality is None


def test_target_has_the_options_of_its_size_and_with_a_blur_the_density() -> None:
    recipes = Recipes(Settings())
    size = replace(BOX, enlarge=False, grayscale=True, blur=1.5, background="#405060")

    options = recipes.target(Variant(size, Format.PNG, 3))

    assert (options.enlarge, options.grayscale, options.blur, options.sharpen) == (False, True, 1.5, None)
    assert (options.density, recipes.target(Variant(BOX, Format.PNG, 3)).density) == (3, 1)
    assert options.background == "#405060"
    assert recipes.target(Variant(replace(BOX, sharpen=0.5), Format.PNG, 3)).sharpen == 0.5


def test_animation_is_part_of_the_target_and_recipe_of_webp_alone() -> None:
    recipes, animated = Recipes(Settings()), replace(BOX, animated=True)

    assert [recipes.target(Variant(animated, format)).animated for format in Format] == [False, False, True, False]
    changed = [fingerprint(Variant(animated, format)) != fingerprint(Variant(BOX, format)) for format in Format]
    assert changed == [False, False, True, False]


def test_display_p3_is_part_of_the_target_and_recipe_of_all_but_grayscale() -> None:
    wide, grey = {"color_space": ColorSpace.DISPLAY_P3}, replace(BOX, grayscale=True)

    for format in Format:
        color, without = Variant(BOX, format), Variant(grey, format)
        assert Recipes(Settings(**wide)).target(color).color_space is ColorSpace.DISPLAY_P3
        assert Recipes(Settings(**wide)).target(without) == Recipes(Settings()).target(without)
        assert fingerprint(color, **wide) != fingerprint(color)
        assert fingerprint(without, **wide) == fingerprint(without)
        assert fingerprint(color, color_space=ColorSpace.SRGB) == fingerprint(color)


def test_focus_is_part_of_the_target_only_of_sizes_that_use_the_focus() -> None:
    recipes, focus = Recipes(Settings()), Focus("0.1,0.2")
    by_focus = Variant(replace(BOX, position=Position.FOCUS), Format.JPG)

    assert recipes.target(by_focus, focus) == replace(recipes.target(by_focus), focus=focus)
    assert recipes.target(Variant(BOX, Format.JPG), focus) == recipes.target(Variant(BOX, Format.JPG))


def test_position_is_part_of_the_fingerprint() -> None:
    assert fingerprint(Variant(replace(BOX, position=Position.FOCUS), Format.JPG)) != fingerprint()


MARK = Watermark("a" * 64, 600)


@pytest.mark.parametrize("format", Format)
def test_watermark_and_each_of_its_options_are_part_of_the_fingerprint(format: Format) -> None:
    marks = [
        None,
        MARK,
        replace(MARK, digest="b" * 64),
        replace(MARK, position=WatermarkPosition.TOP),
        replace(MARK, opacity=0.5),
        replace(MARK, width=0.5),
    ]

    fingerprints = [fingerprint(Variant(replace(BOX, watermark=mark), format)) for mark in marks]

    assert fingerprints[0] == fingerprint(Variant(BOX, format))
    assert len(set(fingerprints)) == len(marks)
    assert fingerprint(Variant(replace(BOX, watermark=replace(MARK)), format)) == fingerprints[1]


def test_watermark_is_part_of_the_target_at_every_density() -> None:
    recipes, watermarked = Recipes(Settings()), replace(BOX, watermark=MARK)

    assert [recipes.target(Variant(watermarked, Format.JPG, density)).watermark for density in (1, 2)] == [MARK] * 2
