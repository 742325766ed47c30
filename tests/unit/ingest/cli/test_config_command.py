"""`darkroom config`: every setting with its value and origin, without secrets; warnings about misspelt variables."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.cli import app
from proxy.settings import Settings
from tests.pictures import flat_webp

SECRETS = {
    "API_KEYS": "hunter2-hunter2-1,hunter2-hunter2-2",
    "AWS_ACCESS_KEY_ID": "hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "DATABASE_URL": "postgres://shop:hunter2@db.example/shop?sslmode=require",
    "REDIS_URL": "rediss://:hunter2@cache.example:6380/1",
    "WEBHOOK_SECRET": "whsec_hunter2hunter2hunter2hunter2hunter2h",
    "WEBHOOK_URL": "https://shop.example:8443/hunter2?key=hunter2",
}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory, and no settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown() -> Any:
    done = CliRunner().invoke(app, ["config", "--json"])
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_each_setting_has_value_and_origin(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "darkroom.toml").write_text("max_waiting = 3\n[sizes.tiny]\nwidth = 24\n")
    (folder / ".env").write_text("MIN_SIDE=50\n")
    (folder / "level").write_text("error\n")
    monkeypatch.setenv("LOG_LEVEL_FILE", "level")
    monkeypatch.setenv("WARM_UP", "false")

    settings = shown()

    assert settings.keys() == {
        *(name.upper() for name in Settings.model_fields.keys() - {"quality", "size_tables", "widths"}),
        *("quality", "sizes", "widths"),
    }
    assert settings["MAX_WAITING"] == {"value": 3, "origin": "darkroom.toml"}
    assert settings["MIN_SIDE"] == {"value": 50, "origin": ".env"}
    assert settings["LOG_LEVEL"] == {"value": "error", "origin": "LOG_LEVEL_FILE"}
    assert settings["WARM_UP"] == {"value": False, "origin": "environment"}
    assert settings["MAX_SIDE"] == {"value": 10_000, "origin": "default"}
    assert settings["sizes"]["origin"] == "darkroom.toml"
    assert settings["sizes"]["value"]["tiny"]["width"] == 24
    assert settings["quality"]["origin"] == "default"


@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"]])
def test_only_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 0
    assert "hunter2" not in done.output
    assert "postgres://shop:(hidden)@db.example/shop?sslmode=require" in done.stdout
    assert "rediss://:(hidden)@cache.example:6380/1" in done.stdout


def test_table_in_a_pipe_is_narrow(folder: Path) -> None:
    (folder / "darkroom.toml").write_text("".join(f"[sizes.s{n}]\nwidth = 24\n" for n in range(50)))

    lines = CliRunner().invoke(app, ["config"]).stdout.splitlines()

    assert max(map(len, lines)) < 120
    assert all(line == line.rstrip() for line in lines)
    [row] = [line.split() for line in lines if "sizes.s7 " in line]
    assert row == ["sizes.s7", "darkroom.toml", "width=24", "warm=auto"]


def test_options_of_sizes_and_widths_are_shown(folder: Path) -> None:
    (folder / "darkroom.toml").write_text(
        'widths = [640, 320]\n[sizes.s]\nwidth = 24\nheight = 9\nfit = "pad"\nenlarge = false\n'
        'background = "#102030"\ngrayscale = true\nblur = 2\nquality = {jpg = 75, webp = 70}\n'
    )

    lines = [line.split() for line in CliRunner().invoke(app, ["config"]).stdout.splitlines()]

    options = ["fit=pad", "enlarge=false", "background=#102030", "grayscale=true", "blur=2.0"]
    options += ["quality={jpg=75", "webp=70}", "warm=auto"]
    assert ["sizes.s", "darkroom.toml", "width=24", "height=9", *options] in lines
    assert ["widths", "darkroom.toml", "320,", "640"] in lines


def test_watermark_is_shown_with_its_path_and_options(folder: Path) -> None:
    (folder / "logo.webp").write_bytes(flat_webp(9, 9))
    (folder / "darkroom.toml").write_text('[sizes.s]\nwidth = 24\nwatermark = {file = "logo.webp", opacity = 0.5}\n')

    lines = [line.split() for line in CliRunner().invoke(app, ["config"]).stdout.splitlines()]
    watermark = shown()["sizes"]["value"]["s"]["watermark"]

    mark = ["watermark={file=logo.webp", "position=bottom-right", "opacity=0.5", "width=0.25}"]
    assert ["sizes.s", "darkroom.toml", "width=24", *mark, "warm=auto"] in lines
    assert watermark == {"file": "logo.webp", "position": "bottom-right", "opacity": 0.5, "width": 0.25}


def test_misspelt_variable_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUKCET", "hunter2")
    monkeypatch.setenv("LOG_FORMAT", "json")

    done = CliRunner().invoke(app, ["config"])

    warning = json.loads(done.stderr)
    assert done.exit_code == 0
    assert (warning["level"], warning["name"], warning["did_you_mean"]) == ("warning", "S3_BUKCET", "S3_BUCKET")
    assert "hunter2" not in done.output


def test_misspelt_variable_is_named_beside_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABSE_URL", "hunter2")
    monkeypatch.setenv("LOG_FORMAT", "xml")

    done = CliRunner().invoke(app, ["config"])

    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "The settings are wrong:",
        "LOG_FORMAT: give 'console' or 'json'",
        "DATABSE_URL: not a setting. Did you mean DATABASE_URL?",
    ]


def test_keys_are_named_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "shop:read+upload:hunter2-hunter2-1,hunter2-hunter2-2")

    assert shown()["API_KEYS"]["value"] == ["shop:upload+read:(hidden)", "default:admin:(hidden)"]
