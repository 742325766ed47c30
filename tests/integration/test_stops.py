"""SIGTERM: at any moment of a start and while running, also as the first process of a container."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.client import until, upload
from tests.cluster import small_picture
from tests.server import free_port
from tests.service import Service, Worker, command_line, environment

SIGTERM_DURING_AN_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SIGTERM_AT"]:
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
"""
AS_FIRST_PROCESS = ["unshare", "--pid", "--fork", "--kill-child"]


def can_unshare() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*AS_FIRST_PROCESS, "true"], capture_output=True, check=False).returncode == 0
    )


def stopped_at(folder: Path, moment: str, *arguments: str, prefix: list[str] | None = None) -> tuple[int, str]:
    """Runs a command that gets SIGTERM when it imports the module `moment`. Returns exit code and output."""
    (folder / "sitecustomize.py").write_text(SIGTERM_DURING_AN_IMPORT)
    result = subprocess.run(
        [*(prefix or []), *command_line(*arguments)],
        cwd=folder,
        env=environment({"PYTHONPATH": str(folder), "SIGTERM_AT": moment}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stdout


@pytest.mark.promise("E6")
@pytest.mark.parametrize(
    "moment",
    [
        *(pytest.param(moment, marks=pytest.mark.slow) for moment in ("typer", "sqlalchemy", "ingest.web.ingest_app")),
        *(pytest.param(moment, marks=pytest.mark.long) for moment in ("pydantic", "structlog", "uvicorn", "uvloop")),
    ],
)
def test_server_that_is_stopped_during_its_start_exits_with_0(tmp_path: Path, moment: str) -> None:
    code, output = stopped_at(tmp_path, moment, "serve", "--port", str(free_port()))

    assert code == 0, output
    assert "Traceback" not in output


@pytest.mark.promise("E6")
@pytest.mark.parametrize("moment", ["typer", "sqlalchemy", "ingest.ingest_services"])
@pytest.mark.slow
def test_worker_that_is_stopped_during_its_start_exits_with_0(tmp_path: Path, moment: str) -> None:
    code, output = stopped_at(tmp_path, moment, "worker")

    assert (code, output) == (0, "")


def test_other_command_that_is_stopped_fails(tmp_path: Path) -> None:
    assert stopped_at(tmp_path, "typer", "gc") == (143, "")


@pytest.mark.promise("E6")
@pytest.mark.long  # not in CI, which may lack the right
@pytest.mark.skipif(not can_unshare(), reason="needs the right to create PID namespaces")
@pytest.mark.parametrize("moment", ["typer", "uvicorn"])
def test_first_process_of_a_container_obeys_sigterm_during_its_start(tmp_path: Path, moment: str) -> None:
    """The kernel ignores signals for this process if it has no handler."""
    code, output = stopped_at(tmp_path, moment, "serve", "--port", str(free_port()), prefix=AS_FIRST_PROCESS)

    assert code == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_running_server_that_is_stopped_exits_with_0(tmp_path: Path, workers: str) -> None:
    with Service(tmp_path, "--workers", workers, WARM_UP="false") as service:
        upload(service, small_picture(1))
        service.terminate()
        service.wait()

        assert "Traceback" not in service.log()


@pytest.mark.slow
def test_running_worker_that_is_stopped_exits_with_0(tmp_path: Path) -> None:
    with Service(tmp_path, WARM_UP="false"):
        pass  # creates the database
    with Worker(tmp_path) as worker:
        until(lambda: "worker started" in worker.log())
        worker.terminate()
        worker.wait()
