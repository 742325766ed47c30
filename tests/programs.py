"""The programs beyond Python that tests start, and their Debian packages.

`python3 tests/programs.py` prints the missing packages and fails if there are any. It needs the standard library only.
"""

import shutil
import sys
from pathlib import Path

PACKAGES = {
    "redis-server": "redis-server",
    "initdb": "postgresql",
    "pgbouncer": "pgbouncer",
    "nginx": "nginx-light",
    "chromium-headless-shell": "chromium-headless-shell",
    "curl": "curl",
    "openssl": "openssl",
    "node": "nodejs",
    "npm": "npm",
    "njs": "njs",
    "faketime": "faketime",
    "strip": "binutils",
}


def find(program: str) -> str | None:
    """Returns its path; also looks in `/usr/sbin` and in the folder of Debian's newest Postgres."""
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
