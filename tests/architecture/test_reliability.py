"""docs/reliability.md names tests that exist, and every case of its sections."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)
CASES = {"A": 14, "B": 13, "C": 11, "D": 5, "E": 11}


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)))
def test_what_it_names_is_a_test(path: str, name: str) -> None:
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in TEXT.splitlines() if re.match(r"\| [A-E]\d", line)])
def test_every_case_names_one(line: str) -> None:
    assert "::test_" in line


def test_no_case_is_missing() -> None:
    told = {case for line in TEXT.splitlines() if line.startswith("| ") for case in re.findall(r"\b[A-E]\d+\b", line)}
    assert told == {f"{section}{number}" for section, last in CASES.items() for number in range(1, last + 1)}
