"""The qualities of `darkroom.toml`: those of a size, and `[quality]`."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import pytest

from proxy import system
from proxy.model import Format
from proxy.settings import SettingsError, load_settings
from tests.unit.proxy.settings.toml_file import refusal, toml


def without_numpy(name: str) -> ModuleSpec | None:
    return None if name == "numpy" else find_spec(name)


def test_quality_is_fixed_by_default() -> None:
    toml('[sizes.one]\nwidth = 3\n[sizes.two]\nwidth = 3\nquality = "auto"\n[quality]\nscore = 72.5')

    settings = load_settings()

    assert [size.auto_quality for size in settings.sizes.values()] == [False, True]
    assert settings.quality.score == 72.5


@pytest.mark.parametrize(
    ("score", "reason"),
    [("49", "give at least 50"), ("96", "give at most 95"), ('"high"', "give a number")],
)
def test_score_out_of_range_is_reported_with_reason(score: str, reason: str) -> None:
    toml(f"[quality]\nscore = {score}")

    with pytest.raises(SettingsError, match=rf"^quality\.score: .*{reason}"):
        load_settings()


@pytest.mark.parametrize(
    ("quality", "fixed"),
    [
        ("75", ((Format.JPG, 75), (Format.WEBP, 75), (Format.AVIF, 75))),
        ("1", ((Format.JPG, 1), (Format.WEBP, 1), (Format.AVIF, 1))),
        ("{webp = 70, jpg = 100}", ((Format.JPG, 100), (Format.WEBP, 70))),
        ("{avif = 55}", ((Format.AVIF, 55),)),
    ],
)
def test_quality_of_a_size_is_fixed_for_all_or_for_the_named_formats(
    quality: str, fixed: tuple[tuple[Format, int], ...]
) -> None:
    toml(f"[sizes.x]\nwidth = 3\nquality = {quality}\n[sizes.y]\nwidth = 3")

    sizes = load_settings().sizes

    assert (sizes["x"].quality, sizes["x"].auto_quality) == (fixed, False)
    assert sizes["y"].quality == ()


@pytest.mark.parametrize(
    ("quality", "shown"),
    [
        ('"best"', '"best"'),
        ('"80"', '"80"'),
        ("0", "0"),
        ("101", "101"),
        ("80.0", "80.0"),
        ("true", "true"),
        ("[80]", "[80]"),
        ("{}", "{}"),
        ("{png = 80}", '{"png": 80}'),
        ("{jpeg = 80}", '{"jpeg": 80}'),
        ("{jpg = 0}", '{"jpg": 0}'),
        ('{jpg = 80, webp = "auto"}', '{"jpg": 80, "webp": "auto"}'),
        ("{score = 80}", '{"score": 80}'),
    ],
)
def test_invalid_quality_of_a_size_is_one_of_the_listed_mistakes(quality: str, shown: str) -> None:
    toml(f"[sizes.x]\nwidth = 0\nquality = {quality}")

    rule = 'give "auto", a whole number from 1 to 100, or a table of such numbers for jpg, webp, avif'
    mistakes = ["sizes.x.width: give at least 1", f"sizes.x.quality: {rule}, not {shown}"]
    assert refusal().splitlines() == mistakes


class TestAutoQuality:
    def test_sizes_that_need_missing_numpy_are_all_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", without_numpy)
        toml(
            '[sizes.card]\nwidth = 3\nquality = "auto"\n[sizes.tiny]\nwidth = 3\n'
            '[sizes.hero]\nwidth = 3\nquality = "auto"'
        )

        with pytest.raises(SettingsError) as caught:
            load_settings().check_extras()

        assert str(caught.value) == (
            'sizes: quality = "auto" of card, hero needs numpy, which is not installed. '
            "Run pip install 'darkroom-origin[auto-quality]', or remove quality = \"auto\" to use a fixed quality."
        )

    def test_fixed_qualities_need_no_numpy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", without_numpy)

        load_settings().check_extras()

    def test_installed_numpy_is_found_without_an_import(self, monkeypatch: pytest.MonkeyPatch) -> None:
        toml('[sizes.card]\nwidth = 3\nquality = "auto"')
        asked = []
        monkeypatch.setattr(system, "find_spec", lambda name: asked.append(name) or find_spec(name))

        load_settings().check_extras()

        assert asked == ["numpy"]
