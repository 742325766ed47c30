"""The image, built from the Dockerfile as it is and run as docs/deploy.md says, without a container engine's service.

`make image-test` runs it: debootstrap makes the base image, buildah builds, podman runs. It needs root, the network for
Debian's and Python's packages, 3 GB on the disk, and ten minutes. tests/integration/test_image.py looks into the
environment that the Dockerfile makes.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import completed, until, upload
from tests.cluster import small_picture
from tests.conftest import need
from tests.http_client import http
from tests.programs import find
from tests.server import free_port
from tests.service import PATIENT, STOP_TIMEOUT, Service
from tests.waiting import GUARD

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.11-slim"
PACKAGES = ("buildah", "podman", "runc", "catatonit", "debootstrap")  # catatonit is the first process of `--init`
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Those that the machine trusts: its package index may have a certificate of its own."""

# As in docs/deploy.md. The network is the machine's, so that no address has to be set up; ulimits are the lowest that
# machines have, as podman would ask for more than they may allow.
HARDENED = (
    *("--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "1g", "--cpus", "1"),
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


class Engine:
    """Images and containers in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "overlay"]
        self.buildah = ["buildah", *storage]
        self.podman = ["podman", *storage, "--tmpdir", str(folder / "tmp"), "--runtime", "runc"]
        self.podman += ["--cgroup-manager", "cgroupfs", "--events-backend", "file"]

    def build(self) -> None:
        """Makes a base image of Debian and its Python, and builds the Dockerfile on it."""
        packages = "--include=ca-certificates,python-is-python3,python3-pip,python3-venv"
        base = self.folder / "base"
        self._run(["debootstrap", "--variant=minbase", packages, "bookworm", str(base)])
        for leftover in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(base / leftover)
        self._run(["tar", "--create", "--directory", str(base), "--file", str(self.folder / "base.tar"), "."])
        self._run([*self.podman, "import", str(self.folder / "base.tar"), BASE])
        options = ["--isolation", "chroot", "--format", "docker", "--pull-never"]  # only this format has health checks
        if CERTIFICATES.exists():
            options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        self._run([*self.buildah, "bud", *options, "--layers", "--tag", "darkroom", str(ROOT)])

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command of podman until it exits."""
        done = subprocess.run(
            [*self.podman, *command], text=True, capture_output=True, timeout=2 * GUARD, check=False, env=ENVIRONMENT
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def close(self) -> None:
        self.call("rm", "--all", "--force", "--time", "0", check=False)
        for mounted in sorted(_mounts_below(self.folder), reverse=True):
            subprocess.run(["umount", mounted], check=True)
        shutil.rmtree(self.folder)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, text=True, capture_output=True, timeout=1200, check=False, env=ENVIRONMENT)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def _mounts_below(folder: Path) -> list[str]:
    mounts = (line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    return [mount for mount in mounts if Path(mount).is_relative_to(folder)]


class Container(Service):
    """`with Container(engine, "name", "--user", "5:0") as container:` runs `serve` with a volume of that name."""

    def __init__(self, engine: Engine, name: str, *options: str, **settings: str) -> None:
        super().__init__(engine.folder / name, **PATIENT, **settings)
        self._settings |= ENVIRONMENT
        self.engine = engine
        self.name = name
        self._pid_file = self.folder / "pid"
        variables = (word for setting in {"PORT", *PATIENT, *settings} for word in ("--env", setting))
        options = (*HARDENED, "--volume", f"{name}:/data", *variables, *options)
        self.program = (
            *(*engine.podman, "run", "--replace", "--name", name, "--pidfile", str(self._pid_file)),
            *(*options, "darkroom"),
        )

    @property
    def first_process(self) -> int:
        """Its id outside of the container."""
        until(lambda: self._pid_file.exists() and self._pid_file.read_text())
        return int(self._pid_file.read_text())

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the running container."""
        return self.engine.call("exec", self.name, *command, check=False)

    def _launch(self, *arguments: str) -> None:
        self._pid_file.unlink(missing_ok=True)
        if "--port" in arguments:  # also as the variable, for the health check
            self._settings["PORT"] = arguments[arguments.index("--port") + 1]
        super()._launch(*arguments)

    def terminate(self) -> None:
        os.kill(self.first_process, signal.SIGTERM)

    def kill(self) -> None:
        self.engine.call("rm", "--force", "--time", "0", self.name, check=False)
        super().kill()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    for package in PACKAGES:  # each has a program of its name
        need(find(package), " ".join(PACKAGES))
    if os.geteuid() != 0:
        pytest.skip("needs root, to build a base image and to mount")
    # Not in pytest's folder, whose last three stay. Not in /tmp, which may be memory.
    engine = Engine(Path(tempfile.mkdtemp(prefix="darkroom-image-", dir="/var/tmp")))
    try:
        engine.build()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Container]:
    with Container(engine, "server", "--init") as container:
        yield container
        container.stop()


def serves(container: Container) -> None:
    upload_id = upload(container, small_picture(1))
    completed(container, upload_id)
    assert http.get(f"{container.url}/images/{upload_id}/small.webp").status_code == 200


def test_hardened_container_serves(server: Container) -> None:
    serves(server)


def test_doctor_finds_nothing_to_mend_and_the_limits_of_the_container(server: Container) -> None:
    checked = server.run("darkroom", "doctor", "--json")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    findings = {check["name"]: check for check in json.loads(checked.stdout)}
    assert {check["verdict"] for check in findings.values()} <= {"ok", "skipped"}, findings
    assert findings["memory"]["remark"] == "512 of 1024 MiB for 1 render process"
    assert findings["render processes"]["remark"] == "locked by seccomp and landlock"


def test_health_check_of_the_image_succeeds(server: Container) -> None:
    server.engine.call("healthcheck", "run", "server")


def test_first_process_collects_orphans(server: Container) -> None:
    states = "import glob; print([open(stat).read().rpartition(')')[2] for stat in glob.glob('/proc/[0-9]*/stat')])"
    assert server.run("sh", "-c", "(sleep 0.2 &) ; exit 0").returncode == 0
    time.sleep(1)

    listed = server.run("python", "-c", states).stdout
    assert " S " in listed
    assert " Z " not in listed


def test_version_is_the_one_of_the_package(server: Container) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert server.run("darkroom", "--version").stdout == f"darkroom {version}\n"


def test_any_user_of_group_0_serves(engine: Engine) -> None:
    with Container(engine, "foreign", "--user", "123456:0") as container:
        serves(container)


def test_user_without_access_to_data_exits_with_2_and_is_named(engine: Engine) -> None:
    """With a group that may not enter /data."""
    done = engine.call("run", "--rm", *HARDENED, "--user", "123456:123456", "darkroom", check=False)

    assert done.returncode == 2
    assert "user 123456, group 123456 cannot read /data" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.promise("E6")
@pytest.mark.parametrize("seconds", [0.3, 2, 4])
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_first_process_at_sigterm_exits_with_0(engine: Engine, command: str, seconds: float) -> None:
    """As the first process, without --init: the kernel ignores the signal as long as it has no handler."""
    engine.call("run", "--rm", *HARDENED, "--volume", "stopped:/data", "darkroom", "migrate")
    container = Container(engine, "stopped", WARM_UP="true")
    container._launch(command, *(["--port", str(free_port())] if command == "serve" else []))
    try:
        first = container.first_process
        time.sleep(seconds)
        os.kill(first, signal.SIGTERM)
        sent = time.monotonic()
        container.wait()
        assert time.monotonic() - sent < STOP_TIMEOUT / 2
        assert "Traceback" not in container.log()
    finally:
        container.kill()


def test_image_has_no_tools_and_no_secrets(engine: Engine) -> None:
    looked = engine.call(
        "run",
        "--rm",
        *HARDENED,
        "--entrypoint",
        "sh",
        "darkroom",
        "-c",
        "for name in cc gcc ld make strip git curl; do command -v $name; done; find / -xdev -name .env -o -name .git;"
        "find /app /data -maxdepth 1; find /root /tmp -type d -name pip; find /app/.venv -type d -name tests",
    )
    assert set(looked.stdout.split()) == {"/app", "/app/.venv", "/app/sbom.json", "/data"}

    [image] = json.loads(engine.call("image", "inspect", "darkroom").stdout)
    names = {variable.partition("=")[0] for variable in image["Config"]["Env"]}
    assert names == {"DATA_DIR", "LOG_FORMAT", "PATH", "PORT", "PYTHONDONTWRITEBYTECODE"}


def test_image_adds_little_to_its_base(engine: Engine) -> None:
    sizes = [json.loads(engine.call("image", "inspect", name).stdout)[0]["Size"] for name in ("darkroom", BASE)]

    assert sizes[0] - sizes[1] < 210e6
    print(f"image: {sizes[0] / 1e6:.0f} MB, of which the base has {sizes[1] / 1e6:.0f}")
