"""The programs beyond Python that tests start, and the Debian packages that bring them.

`python3 tests/programs.py` prints the packages that are missing and fails if there are any: standard library only.
"""

import shutil
import sys
from pathlib import Path

PACKAGES = {
    "redis-server": "redis-server",
    "initdb": "postgresql",
    "nginx": "nginx-light",
    "chromium": "chromium",
    "curl": "curl",
    "node": "nodejs",
    "njs": "njs",
    "faketime": "faketime",
}


def find(program: str) -> str | None:
    """Its path; also where Debian keeps servers (`/usr/sbin`) and Postgres (the newest version's folder)."""
    postgres = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True
    )
    folders = ["/usr/local/sbin", "/usr/sbin", *map(str, postgres)]
    return shutil.which(program) or shutil.which(program, path=":".join(folders))


def missing_packages() -> list[str]:
    return [package for program, package in PACKAGES.items() if find(program) is None]


if __name__ == "__main__":
    print(*missing_packages())
    sys.exit(bool(missing_packages()))
