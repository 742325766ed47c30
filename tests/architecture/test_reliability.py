"""docs/reliability.md lists every case, and each case has a test marked with its number."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()
LAST = {"A": 15, "B": 13, "C": 11, "D": 7, "E": 15}
"""The number of each section's last case."""


def cases_in_document() -> set[str]:
    rows = re.findall(r"^\| ((?:[A-E]\d+[ ,]+)+)", TEXT, re.MULTILINE)
    return {case for row in rows for case in re.findall(r"[A-E]\d+", row)}


def cases_in_tests() -> Iterator[str]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
                yield from (ast.literal_eval(case) for case in node.args)


def test_document_lists_every_case() -> None:
    assert cases_in_document() == {f"{section}{number}" for section in LAST for number in range(1, LAST[section] + 1)}


def test_every_case_is_held_by_a_test() -> None:
    assert set(cases_in_tests()) == cases_in_document()
