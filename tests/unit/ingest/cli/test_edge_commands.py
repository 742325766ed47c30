"""`darkroom edge`. tests/unit/ingest/edge/test_rules.py has what it prints."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.cli import app


def test_template_with_private_exits_with_2() -> None:
    arguments = ["edge", "cloudfront", "--template", "deploy/cloudfront.yaml", "--private"]

    done = CliRunner().invoke(app, arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "--template prints both functions: leave out --private.\n"


@pytest.mark.parametrize("edge", ["nginx", "cloudfront"])
def test_missing_watermark_file_is_no_mistake(edge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("darkroom.toml").write_text('[sizes.marked]\nwidth = 9\nwatermark.file = "logo.png"')

    done = CliRunner().invoke(app, ["edge", edge])

    assert (done.exit_code, done.stderr) == (0, "")
    assert "marked" in done.stdout
