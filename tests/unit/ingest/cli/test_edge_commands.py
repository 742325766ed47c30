"""`darkroom edge`. tests/unit/ingest/edge/test_rules.py has what it prints."""

from typer.testing import CliRunner

from ingest.cli import app


def test_template_with_private_exits_with_2() -> None:
    arguments = ["edge", "cloudfront", "--template", "deploy/cloudfront.yaml", "--private"]

    done = CliRunner().invoke(app, arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "--template prints both functions: leave out --private.\n"
