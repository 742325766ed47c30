"""Parses the lock files: pins, platforms, hashes."""

import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements-build.txt", "requirements.txt", "requirements-dev.txt", "requirements-ci.txt")
_PIN = re.compile(r"^(?P<requirement>[a-z0-9].*?) \\\n(?P<hashes>(?: +--hash=\S+(?: \\)?\n)+)", re.MULTILINE)


def locked(lock: str) -> list[tuple[Requirement, list[str]]]:
    """Returns every requirement of a lock file with its hashes."""
    found = _PIN.finditer((ROOT / lock).read_text())
    return [(Requirement(pin["requirement"]), re.findall(r"--hash=(\S+)", pin["hashes"])) for pin in found]


def pins(lock: str) -> dict[str, str]:
    """Returns versions by name, without those for other platforms or Python versions."""
    return {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement, _ in locked(lock)
        if requirement.marker is None or requirement.marker.evaluate()
    }
