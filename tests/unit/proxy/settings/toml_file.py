"""Writes `darkroom.toml`, and reads the names of wrong settings."""

from pathlib import Path

import pytest

from proxy.settings import SettingsError, load_settings


def toml(text: str) -> None:
    Path("darkroom.toml").write_text(text, encoding="utf-8")


def mistakes() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return sorted(line.split(":")[0] for line in str(caught.value).splitlines())
