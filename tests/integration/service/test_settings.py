"""Settings: mistakes are reported before anything starts, and `config` shows the settings in force."""

from pathlib import Path

import pytest

from tests.service import darkroom


def test_public_address_without_keys_is_refused(tmp_path: Path) -> None:
    refused = darkroom(tmp_path, "serve", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "API_KEYS" in refused.stderr


@pytest.mark.slow
@pytest.mark.promise("E9")
def test_wrong_settings_are_all_reported_at_once(tmp_path: Path) -> None:
    refused = darkroom(tmp_path, "serve", MAX_UPLOAD_MB="many", CDN_URL="cdn", RENDER_PROCESSES="0")
    assert refused.returncode == 2
    for name in ("MAX_UPLOAD_MB", "CDN_URL", "RENDER_PROCESSES"):
        assert name in refused.stderr


def test_config_hides_secrets(tmp_path: Path) -> None:
    shown = darkroom(tmp_path, "config", API_KEYS="open-sesame-to-all", CDN_URL="https://cdn.example")
    assert "https://cdn.example" in shown.stdout
    assert "open-sesame-to-all" not in shown.stdout
