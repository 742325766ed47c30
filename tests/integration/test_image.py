"""The build of the image without a container engine: runs the commands of its first stage, and starts the result.

It installs the whole lock file and compiles it, so it takes a minute and needs the network. `.ci/run` reads the
Dockerfile alone; tests/architecture/test_distributions.py reads the wheels that the build installs.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.client import until
from tests.server import free_port

MACHINE = dict(os.environ)  # noqa: TID251 - what pip and CI go by, not a setting of Darkroom
ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
BUILD, FINAL = (stage.splitlines() for stage in re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1:])


pytestmark = pytest.mark.timeout(900)  # installs every package, on a busy machine


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
        elif keyword == "RUN" and not rest.startswith("apt-get "):  # tests/programs.py names the package
            subprocess.run(rest, shell=True, cwd=folder, env=MACHINE | {"PATH": path}, check=True, timeout=500)
    return folder


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def environment(built: Path, **settings: str) -> dict[str, str]:
    """The image's environment, with the folder in place of /app."""
    image = dict(pair.split("=", 1) for pair in shlex.split(instructions(FINAL, "ENV")[0]))
    path = image["PATH"].replace("/app", str(built)).replace("$PATH", os.defpath)
    data = built / "data"
    data.mkdir(exist_ok=True)
    return image | {"PATH": path, "DATA_DIR": str(data)} | settings


def run(built: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the image's environment, outside of the source folder."""
    variables = environment(built, **settings)
    program = shutil.which(command[0], path=variables["PATH"])
    assert program is not None
    return subprocess.run(
        [program, *command[1:]],
        cwd=built / "data",
        env=variables,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def health_check() -> list[str]:
    [check] = instructions(FINAL, "HEALTHCHECK")
    command: list[str] = json.loads(check.partition(" CMD ")[2])
    return command


@pytest.mark.long
def test_built_image_runs_the_command(built: Path) -> None:
    helped = run(built, "darkroom", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "serve" in helped.stdout


@pytest.mark.long
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


@pytest.mark.long
def test_built_image_has_the_bill_of_materials_of_its_packages(built: Path) -> None:
    listed = json.loads((built / "sbom.json").read_text())["components"]

    installed = {path.name.removesuffix(".dist-info") for path in (built / ".venv").rglob("*.dist-info")}
    installed = {name.rpartition("-")[0] for name in installed} - {"darkroom_origin"}
    assert {each["name"].replace("-", "_") for each in listed} == {
        re.sub(r"[-.]", "_", each).lower() for each in installed
    }


@pytest.mark.long
def test_built_image_migrates_a_database(built: Path) -> None:
    migrated = run(built, "darkroom", "migrate")
    assert migrated.returncode == 0, migrated.stderr


@pytest.mark.long
def test_built_environment_has_no_packages_that_install_others(built: Path) -> None:
    assert not [
        path.name
        for name in ("pip", "setuptools", "hatchling", "node_modules")
        for path in (built / ".venv").rglob(name)
    ]


@pytest.mark.long
def test_built_environment_is_smaller_than_200_mb(built: Path) -> None:
    files = [path.stat().st_size for path in (built / ".venv").rglob("*") if path.is_file() and not path.is_symlink()]

    assert sum(files) < 200e6


@pytest.mark.long
def test_built_environment_has_bytecode_that_is_not_checked(built: Path) -> None:
    """Otherwise every start would compile anew: the root is read-only."""
    for source in (built / ".venv" / "lib").rglob("*.py"):
        bytecode = Path(cache_from_source(str(source))).read_bytes()
        assert int.from_bytes(bytecode[4:8], "little") == 0b01, source  # PEP 552: a hash, not checked


@pytest.mark.long
def test_built_environment_has_the_packages_of_every_setting(built: Path) -> None:
    """Files that are read only with some settings: AWS services of S3, CloudFront and credentials, codecs, numpy."""
    program = """
import boto3, numpy, opentelemetry.sdk.trace, pyvips, asyncpg, bullmq, uvloop
from ingest.web.docs import DOCS_PATHS
for service in ("cloudfront", "s3", "signin", "sso", "sso-oidc", "sts"):
    boto3.client(service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
numpy.linalg.norm([3, 4])
print(pyvips.version(0), bool(DOCS_PATHS))
"""
    done = run(built, "python", "-c", program)

    assert (done.returncode, done.stdout) == (0, "8 True\n"), done.stderr


@pytest.mark.long
def test_health_check_follows_the_port_of_the_server(built: Path) -> None:
    port = str(free_port())
    server = subprocess.Popen(
        [built / ".venv" / "bin" / "darkroom", *json.loads(instructions(FINAL, "CMD")[0])],
        cwd=built / "data",
        env=environment(built, PORT=port, API_KEYS="0123456789abcdef", RENDER_PROCESSES="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: run(built, *health_check(), PORT=port).returncode == 0, seconds=60)
    finally:
        server.terminate()
        assert server.wait(60) == 0
    assert run(built, *health_check(), PORT=port).returncode == 1


@pytest.mark.long
def test_health_check_fails_unless_the_response_is_200(built: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as request:
                while request.readline().strip():
                    pass
                connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            assert run(built, *health_check(), PORT=port).returncode == 1
        finally:
            thread.join()


def test_image_runs_as_any_user_of_the_root_group() -> None:
    assert instructions(FINAL, "USER") == ["10001"]
    [commands] = instructions(FINAL, "RUN")
    assert "useradd --uid 10001 --gid 0 " in commands
    assert "install -d -o 10001 -g 0 -m 0770 /data" in commands
