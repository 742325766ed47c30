"""What can be said of the dependencies without a network: that they are pinned, whole, fitting, and of known licences.

Known vulnerabilities are not among it: docs/decisions/0020-seen-from-outside.md.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements-build.txt", "requirements.txt", "requirements-dev.txt", "requirements-ci.txt"]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
LICENCES = re.compile(
    r"\b(MIT|BSD|Apache|ISC|MPL-2\.0|Mozilla Public License 2\.0|PSF|Python Software Foundation|HPND|Unlicense|LGPL)\b"
    r"|MIT-CMU|LGPLv3",
    re.IGNORECASE,
)
"""Ones that ask for no more than their text. The LGPL is libvips', which is loaded and can be exchanged."""


def pins(lock: str) -> dict[str, str]:
    """Blocks of a lock file by name: a pin, then its hashes."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    blocks = re.split(r"\n(?=\S)", text.strip())
    return {re.split(r"[=\[; ]", block)[0]: block for block in blocks}


def wanted(block: str) -> bool:
    """Whether it is meant for this machine; a marker says otherwise for a few."""
    return ";" not in block.partition("\\")[0]


@pytest.mark.parametrize("lock", LOCKS)
def test_each_is_pinned_to_one_version_with_hashes(lock: str) -> None:
    for name, block in pins(lock).items():
        assert re.match(rf"{re.escape(name)}==[0-9][\w.!+]*( ; [^\\]+)? \\\n", block), block
        assert HASH.search(block), name
        assert "://" not in block, name


def test_what_runs_is_what_was_tested() -> None:
    builds, runs, tested, checked = (
        {name: block.partition(" ")[0] for name, block in pins(lock).items()} for lock in LOCKS
    )
    assert builds.items() <= tested.items()
    assert runs.items() <= tested.items()
    assert tested.items() <= checked.items()


def test_the_lock_has_all_that_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups, extras = declared["dependency-groups"], declared["project"]["optional-dependencies"]
    server = [*declared["project"]["dependencies"], *extras["otel"], *extras["vips"]]
    tools = [*server, *groups["build"], *groups["dev"]]
    for lock, wanted in zip(LOCKS, (groups["build"], server, tools, [*tools, *groups["ci"]]), strict=True):
        assert {re.split(r"[\[<>=]", one)[0] for one in wanted} <= pins(lock).keys()


def test_what_is_installed_is_what_is_locked() -> None:
    for name, block in pins("requirements-dev.txt").items():
        if wanted(block):
            assert block.startswith(f"{name}=={version(name)} "), name


@pytest.mark.slow
def test_all_fit_together() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"],
        text=True,
        capture_output=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout


def test_licences_are_ones_that_were_looked_at() -> None:
    for name in (name for name, block in pins("requirements.txt").items() if wanted(block)):
        facts = distribution(name).metadata
        said = [facts.get("License-Expression") or "", *(facts.get_all("Classifier") or []), facts.get("License") or ""]
        licences = [one for one in said if one and not one.startswith(("Programming", "Operating"))]
        assert any(LICENCES.search(one) for one in licences), (name, licences)
        assert not any(re.search(r"\b(A?GPL|GPLv\d)\b", one) for one in said if "LGPL" not in one), name
