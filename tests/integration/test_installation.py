"""The Makefile installs exactly the pins of the lock files, whatever the index has released since.

The index here is a folder of small wheels with the names, versions and dependencies of the real ones, and a newer
release of each. Its lock files are the real ones with the hashes of these wheels. `make` and pip are real: the bundled
pip, and the oldest one that Python 3.11 was released with.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from tools.locks import LOCKS, ROOT, locked, pins

OLDEST_PIP = "22.3"  # bundled with Python 3.11.0
ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}

BACKEND = """
import os, tomllib, zipfile

def build_editable(folder, *_):
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]["name"]
    package = project.replace("-", "_")
    name = f"{package}-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        info = f"{package}-1.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {project}\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
"""Replaces hatchling, which is a small wheel in this index too."""


def wheel(folder: Path, name: str, version: str, dependencies: list[str]) -> str:
    """Writes an empty wheel. Returns its hash as in a lock file."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{version}-py3-none-any.whl"
    described = [f"Requires-Dist: {one}" for one in dependencies]
    extras = sorted({extra for one in dependencies for extra in re.findall(r"extra == ['\"]([\w-]+)", one)})
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Provides-Extra: {e}" for e in extras)]
    files = {
        f"{info}/METADATA": "\n".join([*head, *described, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    if name == "hatchling":
        files |= {"hatchling/__init__.py": "", "hatchling/build.py": BACKEND}
    with ZipFile(path, "w") as file:
        for file_name, text in files.items():
            file.writestr(ZipInfo(file_name), text)  # with a fixed time, otherwise its hash would differ in each lock
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def dependencies(name: str) -> list[str]:
    try:
        return metadata(name).get_all("Requires-Dist") or []
    except PackageNotFoundError:  # for another platform or Python, or of the group ci where that is not installed
        return []


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `simple` of an index, next to lock files that match it."""
    folder = tmp_path_factory.mktemp("index")
    for lock in LOCKS:
        lines = []
        for requirement, _ in locked(lock):
            name, version = requirement.name, str(requirement.specifier).removeprefix("==")
            needs = dependencies(name)
            wheel(folder / "simple" / name, name, "9999", needs)
            lines.append(f"{requirement} --hash={wheel(folder / 'simple' / name, name, version, needs)}\n")
        (folder / lock).write_text("".join(lines))
    for package in (folder / "simple").iterdir():
        links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in package.iterdir())
        (package / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return folder


def python(folder: Path, pip: str | None) -> str:
    """Returns this interpreter, or one whose new environments have another pip."""
    if pip is None:
        return sys.executable
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", f"pip=={pip}"], check=True
    )
    program = folder / "python"
    program.write_text(
        f'#!/bin/sh\n"{sys.executable}" "$@" || exit\n'
        f'[ "$2" != venv ] || .venv/bin/pip install --quiet --no-index --find-links={folder} pip=={pip}\n'
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "lock", "pip"),
    [
        pytest.param("dev", "requirements-dev.txt", None, marks=pytest.mark.long, id="dev, bundled pip"),
        pytest.param("run", "requirements.txt", OLDEST_PIP, id="run, oldest pip"),
    ],
)
def test_make_installs_the_pins_and_nothing_newer(
    index: Path, tmp_path: Path, target: str, lock: str, pip: str | None
) -> None:
    project = tmp_path / "project"
    (project / "clients/python").mkdir(parents=True)
    for file in ("Makefile", "pyproject.toml", "clients/python/pyproject.toml"):
        shutil.copy(ROOT / file, project / file)
    for file in LOCKS:
        shutil.copy(index / file, project)

    made = subprocess.run(
        ["make", f".venv/{target}", f"PYTHON={python(tmp_path, pip)}"],
        cwd=project,
        env=ENVIRONMENT | {"PIP_INDEX_URL": (index / "simple").as_uri()},
        text=True,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr

    command = [str(project / ".venv/bin/pip"), "--disable-pip-version-check", "list", "--format=json"]
    listed = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=True).stdout
    installed = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in json.loads(listed)}
    expected = pins("requirements-build.txt") | pins(lock)
    assert installed == expected | {"pip": pip or installed["pip"], "darkroom-client": "1", "darkroom-origin": "1"}
