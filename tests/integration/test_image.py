"""The build of the image without a container engine: runs the commands of its first stage, and starts the result.

It installs the whole lock file, so it takes a minute and needs the network.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

MACHINE = dict(os.environ)  # noqa: TID251 - what pip and CI go by, not a setting of Darkroom
ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
BUILD, FINAL = (stage.splitlines() for stage in re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1:])


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # installs every package, on a busy machine


def instructions(stage: Sequence[str], name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in stage if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /app of the first stage."""
    folder = tmp_path_factory.mktemp("app")
    path = f"{Path(sys.executable).parent}:{MACHINE['PATH']}"  # `python` is the one that runs the tests
    for line in BUILD:
        keyword, _, rest = line.partition(" ")
        if keyword == "COPY":
            *sources, target = rest.split()
            for source in sources:
                _copy(ROOT / source, folder / (source if target == "./" else target))
        elif keyword == "RUN":
            subprocess.run(
                rest,
                shell=True,
                cwd=folder,
                env=MACHINE | {"PATH": path, "PIP_NO_COMPILE": "1"},
                check=True,
                timeout=500,
            )
    return folder


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def run(built: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the image's environment, outside of the source folder."""
    settings = dict(pair.split("=", 1) for pair in shlex.split(instructions(FINAL, "ENV")[0]))
    path = settings["PATH"].replace("/app", str(built)).replace("$PATH", os.defpath)
    data = built / "data"
    data.mkdir(exist_ok=True)
    environment = settings | {"PATH": path, "DATA_DIR": str(data)}
    program = shutil.which(command[0], path=path)
    assert program is not None
    assert Path(program).parent == built / ".venv" / "bin"
    return subprocess.run(
        [program, *command[1:]], cwd=data, env=environment, text=True, capture_output=True, timeout=60, check=False
    )


def test_built_image_runs_the_command(built: Path) -> None:
    helped = run(built, "darkroom", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "serve" in helped.stdout


def test_built_package_is_complete_and_not_the_work_tree(built: Path) -> None:
    """Templates, migrations and the page are no modules: a wheel's list of files could omit them."""
    for package in (ROOT / "proxy", ROOT / "ingest", ROOT / "clients" / "python" / "src" / "darkroom"):
        for source in (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            [installed] = (built / ".venv").glob(f"lib/python*/site-packages/{source.relative_to(package.parent)}")
            assert installed.read_bytes() == source.read_bytes()
    assert {path.name for path in (built / ".venv").rglob("darkroom_origin-*.dist-info/licenses/*")} == {
        "LICENSE",
        "NOTICE",
    }
    assert run(built, "darkroom", "edge", "nginx").stdout == (ROOT / "deploy" / "variants.conf").read_text()


def test_built_image_migrates_a_database(built: Path) -> None:
    migrated = run(built, "darkroom", "migrate")
    assert migrated.returncode == 0, migrated.stderr


def test_health_check_fails_without_a_server(built: Path) -> None:
    [check] = instructions(FINAL, "HEALTHCHECK")
    command = re.findall(r'"([^"]*)"', check.partition(" CMD ")[2])
    broken = [part.replace(":8000", ":1") for part in command]
    assert run(built, *broken).returncode == 1


def test_image_runs_as_an_unprivileged_user() -> None:
    assert instructions(FINAL, "USER") == ["10001"]
    assert "--uid 10001" in instructions(FINAL, "RUN")[0]
