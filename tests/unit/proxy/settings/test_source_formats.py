"""The setting `ACCEPT`: which formats uploads may have."""

import pytest

from proxy import system
from proxy.model import SourceFormat
from proxy.settings import SettingsError, load_settings
from proxy.settings.settings import Needs


def accepted(monkeypatch: pytest.MonkeyPatch, text: str, *, rendering: bool = False) -> list[str]:
    monkeypatch.setenv("ACCEPT", text)
    return [str(format) for format in load_settings(needs=Needs(rendering=rendering)).accept]


def test_jpeg_png_and_webp_are_the_default() -> None:
    assert load_settings().accept == (SourceFormat.JPEG, SourceFormat.PNG, SourceFormat.WEBP)


def test_formats_are_read_in_any_order_and_with_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accepted(monkeypatch, "gif, jpeg,,tiff,gif") == ["jpeg", "gif", "tiff"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("jpg,png", "ACCEPT: give formats out of jpeg, png, webp, avif, gif, tiff, heic, not jpg"),
        ("svg,bmp", "ACCEPT: give formats out of jpeg, png, webp, avif, gif, tiff, heic, not bmp, svg"),
        (",", "ACCEPT: give at least one format"),
    ],
)
def test_mistakes_name_the_possible_values(monkeypatch: pytest.MonkeyPatch, text: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as caught:
        accepted(monkeypatch, text)

    assert str(caught.value) == mistake


def test_heic_without_its_extra_starts_no_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_pillow_heif", lambda: False)

    with pytest.raises(SettingsError) as caught:
        accepted(monkeypatch, "jpeg,heic", rendering=True)

    assert str(caught.value) == (
        "ACCEPT: heic needs pillow-heif, which is not installed. Run pip install 'darkroom-origin[heic]', or remove "
        "heic from ACCEPT."
    )
    assert accepted(monkeypatch, "jpeg,heic") == ["jpeg", "heic"]
    assert accepted(monkeypatch, "jpeg,avif", rendering=True) == ["jpeg", "avif"]
