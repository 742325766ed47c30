"""Without numpy: what renders does not start if a size has `quality = "auto"`."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
import uvicorn
from typer.testing import CliRunner

from ingest.cli import app
from ingest.web.ingest_app import create_app, create_ingest_app
from proxy import system
from proxy.settings import SettingsError
from proxy.web.app import create_app as create_proxy_app

AUTO = '[sizes.card]\nwidth = 64\nquality = "auto"\n'
MISTAKE = (
    'sizes: quality = "auto" of card needs numpy, which is not installed. '
    "Run pip install 'darkroom-origin[auto-quality]', or remove quality = \"auto\" to use a fixed quality."
)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, with a size that needs numpy, which is not found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(system, "find_spec", lambda _: None)
    (tmp_path / "darkroom.toml").write_text(AUTO)
    return tmp_path


def fail(*_: Any, **__: Any) -> NoReturn:
    pytest.fail("the command started its work")


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "serve --workers 2",
        "serve --role proxy",
        "serve --role ingest",
        "worker",
        "warm --all",
        "warm --missing",
        "refresh",
        "refresh --dry-run",
        "upload picture.jpg",
        "upload --wait -",
    ],
)
def test_command_that_renders_refuses_to_start(monkeypatch: pytest.MonkeyPatch, folder: Path, command: str) -> None:
    monkeypatch.setattr("asyncio.run", fail)
    monkeypatch.setattr(uvicorn.Server, "run", fail)

    done = CliRunner().invoke(app, command.split())

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"The settings are wrong:\n{MISTAKE}\n"
    assert [path.name for path in folder.iterdir()] == ["darkroom.toml"]


@pytest.mark.parametrize("create", [create_app, create_ingest_app, create_proxy_app])
def test_app_without_the_command_refuses_to_start(create: Any, folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        create()

    assert str(caught.value) == MISTAKE
    assert [path.name for path in folder.iterdir()] == ["darkroom.toml"]
