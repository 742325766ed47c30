"""The images of Pillow's own test suite: a thousand real, odd and broken files.

They are in Pillow's source distribution, which pip fetches in the version and with the hashes of the lock file. `python
-m tests.hostile.pillow_source` fetches them in advance, as `.ci/run` does.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pinned() -> str:
    """Returns Pillow's lines of the lock file, with the hash of its source distribution."""
    found = re.search(r"^pillow==.*(?:\n    --hash=\S+.*)+", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[0].rstrip(" \\") + "\n"


def pillow_tests() -> Path:
    """Returns the folder of its tests. Raises CalledProcessError if pip cannot fetch them."""
    version = pinned().split()[0].removeprefix("pillow==")
    folder = ROOT / "build" / f"pillow-{version}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _unpack(_download(Path(scratch)), Path(scratch))
            (Path(scratch) / folder.name).rename(folder)
    return folder / "Tests"


def _download(scratch: Path) -> Path:
    requirement = scratch / "pillow.txt"
    requirement.write_text(pinned())
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-binary", "pillow", "--require-hashes")
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(scratch)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    [archive] = scratch.glob("*.tar.gz")
    return archive


def _unpack(archive: Path, scratch: Path) -> None:
    """Unpacks without `tarfile`'s filters, which some releases of Python 3.11 lack."""
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if parts[1:2] == ("Tests",) and ".." not in parts and (file := tar.extractfile(member)):
                path = scratch.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.read())


if __name__ == "__main__":
    print(pillow_tests())
