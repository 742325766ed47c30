"""The formats of a size in `darkroom.toml`."""

import pytest

from proxy.model import Format
from proxy.settings import SettingsError, load_settings
from tests.unit.proxy.settings.toml_file import refusal, toml


@pytest.mark.parametrize(
    ("formats", "known"),
    [
        ("", tuple(Format)),
        ('formats = ["webp", "jpg", "webp"]', (Format.JPG, Format.WEBP)),
        ('formats = ["png"]', (Format.PNG,)),
        ('formats = ["avif", "webp", "png", "jpg"]', tuple(Format)),
    ],
)
def test_formats_are_all_by_default_and_in_one_order(formats: str, known: tuple[Format, ...]) -> None:
    toml(f"widths = [320]\n[sizes.x]\nwidth = 30\n{formats}")

    sizes = load_settings().sizes

    assert sizes["x"].formats == known
    assert sizes["w320"].formats == tuple(Format)


@pytest.mark.parametrize(
    ("formats", "reason"),
    [
        ("[]", "give a list of jpg, png, webp, avif, not []"),
        ('"jpg"', 'give a list of jpg, png, webp, avif, not "jpg"'),
        ('["jpg", "gif"]', 'give a list of jpg, png, webp, avif, not ["jpg", "gif"]'),
        ('["jpeg"]', 'give a list of jpg, png, webp, avif, not ["jpeg"]'),
        ('["jpg", "auto"]', 'give a list of jpg, png, webp, avif, not ["jpg", "auto"]'),
        ("false", "give a list of jpg, png, webp, avif, not false"),
        ('["webp", "avif"]', "add jpg or png, for clients that accept no other format"),
    ],
)
def test_invalid_formats_are_one_of_the_listed_mistakes(formats: str, reason: str) -> None:
    toml(f"[sizes.x]\nwidth = 0\nformats = {formats}")

    assert refusal().splitlines() == ["sizes.x.width: give at least 1", f"sizes.x.formats: {reason}"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            'warm = ["jpg", "png", "avif"]',
            "warm names png, avif, but formats does not: add it to formats, or remove it here",
        ),
        (
            "quality = {webp = 80, avif = 60}",
            "quality names avif, but formats does not: add it to formats, or remove it here",
        ),
    ],
)
def test_option_that_names_a_format_which_the_size_lacks_is_a_mistake(options: str, reason: str) -> None:
    toml(f'[sizes.x]\nwidth = 3\nformats = ["jpg", "webp"]\n{options}')

    assert refusal() == f"sizes.x: {reason}"


def test_animated_size_without_webp_is_a_mistake() -> None:
    toml('[sizes.x]\nwidth = 3\nformats = ["jpg", "avif"]\nanimated = true')

    with pytest.raises(SettingsError, match=r"^sizes\.x: animated .* WebP: add webp to formats, or remove animated$"):
        load_settings()


def test_options_without_names_of_formats_suit_every_list_of_them() -> None:
    toml('[sizes.x]\nwidth = 3\nformats = ["jpg"]\nquality = 70\nwarm = "auto"\n[sizes.y]\nwidth = 3\nquality = "auto"')

    assert load_settings().sizes["x"].formats == (Format.JPG,)


def test_quality_counts_for_the_formats_of_the_size_alone() -> None:
    toml(
        '[sizes.all]\nwidth = 3\nformats = ["jpg"]\nquality = 70\n'
        '[sizes.named]\nwidth = 3\nformats = ["jpg"]\nquality = {jpg = 70}\n'
        '[sizes.lossless]\nwidth = 3\nformats = ["png"]\nquality = "auto"'
    )

    sizes = load_settings().sizes

    assert sizes["all"].quality == sizes["named"].quality == ((Format.JPG, 70),)
    assert not sizes["lossless"].auto_quality
