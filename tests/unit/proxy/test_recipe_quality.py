"""The fingerprint and the target: what qualities decide."""

from dataclasses import replace
from importlib import metadata

import pytest

from proxy import system
from proxy.model import Format, Variant
from proxy.recipe import Recipes
from proxy.settings import Quality, Settings
from tests.unit.proxy.test_recipe import AUTO_BOX, BOX, fingerprint


@pytest.mark.parametrize("format", [Format.JPG, Format.WEBP, Format.AVIF])
def test_quality_of_a_format_changes_only_its_own_fingerprints(format: Format) -> None:
    settings = {"quality": Quality(**{format.value: 42})}
    changed = {
        other for other in Format if fingerprint(Variant(BOX, other), **settings) != fingerprint(Variant(BOX, other))
    }

    assert changed == {format}


@pytest.mark.parametrize("format", [Format.JPG, Format.WEBP, Format.AVIF])
def test_score_changes_fingerprints_of_searched_qualities_only(format: Format) -> None:
    searched = Variant(AUTO_BOX, format)
    higher = {"quality": Quality(score=85)}

    assert len({fingerprint(Variant(BOX, format)), fingerprint(searched), fingerprint(searched, **higher)}) == 3
    assert fingerprint(Variant(BOX, format), **higher) == fingerprint(Variant(BOX, format))


def test_fixed_quality_of_a_size_is_used_instead_of_that_of_the_settings_in_its_formats_alone() -> None:
    recipes = Recipes(Settings(quality=Quality(jpg=84, avif=60)))
    size = replace(BOX, quality=((Format.JPG, 75), (Format.WEBP, 70)))

    assert [recipes.target(Variant(size, format)).quality for format in Format] == [75, None, 70, 60]
    changed = [fingerprint(Variant(size, format)) != fingerprint(Variant(BOX, format)) for format in Format]
    assert changed == [True, False, True, False]
    assert fingerprint(Variant(size, Format.JPG)) == fingerprint(quality=Quality(jpg=75))
    assert fingerprint(Variant(replace(BOX, quality=((Format.JPG, 82),)), Format.JPG)) == fingerprint()


def test_score_does_not_change_fingerprints_of_lossless_variants() -> None:
    searched = Variant(AUTO_BOX, Format.PNG)

    assert fingerprint(searched) == fingerprint(searched, quality=Quality(score=85))
    assert fingerprint(searched) == fingerprint(Variant(BOX, Format.PNG))


def test_fingerprint_is_independent_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [Variant(size, format) for size in (BOX, AUTO_BOX) for format in Format]
    before = [fingerprint(variant) for variant in variants]
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0" if name == "numpy" else version(name))
    monkeypatch.setattr(system, "find_spec", lambda _: None)

    assert [fingerprint(variant) for variant in variants] == before


def test_target_has_a_score_if_its_quality_is_searched_for() -> None:
    recipes = Recipes(Settings(quality=Quality(score=75)))

    assert [recipes.target(Variant(AUTO_BOX, format)).score for format in Format] == [75, None, 75, 75]
    assert [recipes.target(Variant(BOX, format)).score for format in Format] == [None] * 4
    assert recipes.target(Variant(AUTO_BOX, Format.AVIF)).quality == 67
