"""Writes `darkroom.toml`, and reads the message about wrong settings."""

from pathlib import Path

import pytest

from proxy.settings import SettingsError, load_settings


def toml(text: str) -> None:
    Path("darkroom.toml").write_text(text, encoding="utf-8")


def refusal() -> str:
    """Returns the message with which the settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def mistakes() -> list[str]:
    """Returns the names of the wrong settings."""
    return sorted(line.split(":")[0] for line in refusal().splitlines())
