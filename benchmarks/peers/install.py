"""Installs the peers on first use, each into its own folder. Names those that cannot be installed."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.report import say

HERE = Path(__file__).parent
FOLDER = HERE.with_name(".peers")


@cache
def node() -> Path | None:
    """Returns the folder with sharp and IPX."""
    if not (shutil.which("node") and shutil.which("npm")):
        say("missing: sharp and IPX (no node and npm here)")
        return None
    folder = FOLDER / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "sharp.mjs"):  # Node finds packages next to them
        shutil.copy(HERE / name, folder)
    done = folder / "node_modules/.package-lock.json"
    if not done.exists() or done.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        say("installing sharp and IPX")
        if not _ran("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", folder=folder):
            say("missing: sharp and IPX (npm ci failed)")
            return None
    return folder


@cache
def sharp() -> list[str] | None:
    """Returns the command of a `Worker` that derives with sharp."""
    folder = node()
    return None if folder is None else ["node", str(folder / "sharp.mjs")]


@cache
def python(name: str) -> Path | None:
    """Returns the Python interpreter of a virtual environment with the packages of `name.txt`."""
    lock, environment = HERE / f"{name}.txt", FOLDER / name
    done = environment / "installed"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        say(f"installing {name}")
        made = _ran(sys.executable, "-m", "venv", "--clear", str(environment), folder=HERE)
        pip = [str(environment / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        if not (made and _ran(*pip, "--require-hashes", "-r", str(lock), folder=HERE)):
            say(f"missing: {name} (pip install failed)")
            return None
        done.touch()
    return environment / "bin/python"


def _ran(*command: str, folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(command, cwd=folder, check=False, stdout=sys.stderr).returncode == 0
