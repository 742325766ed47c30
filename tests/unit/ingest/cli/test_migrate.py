"""The settings that `darkroom migrate` needs. tests/unit/ingest/catalog/test_migrations.py has the migrations."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.catalog.database import LATEST_REVISION
from ingest.cli import app, upkeep_commands


def test_missing_watermark_file_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def migrate(_settings: object) -> dict[str, str]:
        return {"before": LATEST_REVISION, "after": LATEST_REVISION}

    monkeypatch.setattr(upkeep_commands, "_migrate", migrate)
    monkeypatch.chdir(tmp_path)
    Path("darkroom.toml").write_text('[sizes.marked]\nwidth = 9\nwatermark.file = "logo.png"')

    done = CliRunner().invoke(app, ["migrate"])

    assert (done.exit_code, done.stderr) == (0, "")
