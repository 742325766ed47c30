"""docs/reliability.md names tests that exist, and every case of its sections."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)))
CASES = {"A": 14, "B": 13, "C": 11, "D": 5, "E": 11}


@cache
def defined_in(path: str) -> set[str]:
    file = ROOT / "tests" / path
    text = file.read_text() if file.exists() else ""
    return set(re.findall(r"^ *(?:async )?def (test_\w+)\(", text, re.MULTILINE))


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 100
    assert [f"{path}::{name}" for path, name in NAMED if name not in defined_in(path)] == []


def test_every_case_names_a_test() -> None:
    cases = [line for line in TEXT.splitlines() if re.match(r"\| [A-E]\d", line)]

    assert cases
    assert [line for line in cases if "::test_" not in line] == []


def test_no_case_is_missing() -> None:
    told = {case for line in TEXT.splitlines() if line.startswith("| ") for case in re.findall(r"\b[A-E]\d+\b", line)}
    assert told == {f"{section}{number}" for section, last in CASES.items() for number in range(1, last + 1)}
