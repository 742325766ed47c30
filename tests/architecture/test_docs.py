"""The documents match the code."""

import re
from pathlib import Path

import pytest
import typer.main
from pydantic_core import PydanticUndefined

from ingest.cli import app
from proxy.settings import Settings
from proxy.web.problems import STATUS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()
IN_TOML = {"quality", "size_tables", "widths"}
COMPUTED = {"render_memory_mb": "half of the memory", "render_processes": "one per processor"}


def rows(text: str) -> dict[str, list[str]]:
    """Returns table rows by their first cell, which is in backquotes."""
    matches = re.finditer(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE)
    return {match[1]: [cell.strip() for cell in match[2].split(" | ")] for match in matches}


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - IN_TOML))
def test_readme_lists_the_setting_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    [default, description] = re.match(
        rf"^\| `{name.upper()}` \| (.*?) ?\| (.*) \|$", _line(name), re.MULTILINE
    ).groups()
    assert description == field.description
    if name in COMPUTED:
        assert default == COMPUTED[name]
    elif field.default in (None, "", (), PydanticUndefined):
        assert default == ""
    else:
        value = field.default
        if isinstance(value, tuple):
            value = ",".join(value)
        shown = str(value).lower() if isinstance(value, bool) else f"{value}"
        assert default == f"`{shown}`"


def _line(name: str) -> str:
    [line] = [line for line in README.splitlines() if line.startswith(f"| `{name.upper()}` |")]
    return line


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))
def test_readme_lists_the_command(command: str) -> None:
    assert f"| `darkroom {command}` |" in README


def test_every_error_code_is_explained_with_its_status() -> None:
    documented = {code: int(cells[0]) for code, cells in rows(ERRORS).items()}
    raised = {code: status for code, status in STATUS.items() if code != "refused"}
    by_http = {"bad_request": 400, "method_not_allowed": 405, "range_not_satisfiable": 416, "headers_too_large": 431}
    assert documented == raised | by_http | {"internal": 500, "too_many_requests": 429}  # the last from edges alone


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\]\((\d{4}-[a-z-]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_links_between_documents_exist() -> None:
    folders = ("", "docs", "docs/*", "benchmarks", "examples/*")
    for document in [path for folder in folders for path in ROOT.glob(f"{folder}/*.md".lstrip("/"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_cell_of_the_comparison_links_its_source() -> None:
    text = (ROOT / "docs" / "comparison.md").read_text()
    unlinked = set()
    for row in re.findall(r"^\| [a-z].* \|$", text, re.MULTILINE):
        for cell in re.sub(r"\[[^]]+\](?:\[[^]]+\]|\([^)]+\))", "LINK", row).strip("| ").split(" | ")[1:]:
            unlinked |= {part for part in cell.split("; ") if "LINK" not in part}

    assert unlinked == {"no", "not needed"}  # a sentence above the table explains them
    assert set(re.findall(r"\]\[([a-z-]+)\]", text)) == set(re.findall(r"^\[([a-z-]+)\]: ", text, re.MULTILINE))
