"""Real `darkroom` processes, each in its own folder, for end-to-end tests."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests import forked
from tests.http_client import http
from tests.server import free_port

START_TIMEOUT = 60  # seconds; usually one or two
STOP_TIMEOUT = 40
PATIENT = {"RENDER_TIMEOUT": "60"}
"""Settings for tests that are not about time: a busy machine would cause 503 and 504."""


def darkroom(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command until it exits."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(arguments, folder, settings, stdout.fileno(), stderr.fileno())
        try:
            code = process.wait(120)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        out, err = (os.pread(file.fileno(), 1 << 24, 0).decode() for file in (stdout, stderr))
    return subprocess.CompletedProcess([*arguments], code, out, err)


def start(
    arguments: Sequence[str],
    folder: Path,
    settings: dict[str, str],
    stdout: int,
    stderr: int,
    *,
    program: Sequence[str] = (),
) -> "subprocess.Popen[bytes] | forked.Forked":
    """Starts a `darkroom` command, or another `program`, in a session of its own."""
    variables = environment(settings)
    if program or "LD_PRELOAD" in variables:  # only a new program loads it
        command = [*program, *arguments] if program else command_line(*arguments)
        return subprocess.Popen(
            command, cwd=folder, env=variables, stdout=stdout, stderr=stderr, start_new_session=True
        )
    return forked.Forked(arguments, folder, variables, stdout, stderr)


def darkroom_without_numpy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command until it exits, in a process that cannot import numpy."""
    program = "import sys; sys.modules['numpy'] = None; from ingest.cli import app; app()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=environment({}),
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


class Program:
    """A `darkroom` command that runs until it is stopped. Its data stays in `folder`, so that it can start again."""

    log_name: str
    program: Sequence[str] = ()  # other than `darkroom`

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._arguments = arguments
        self._settings = settings
        self._process: subprocess.Popen[bytes] | forked.Forked | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._launch(*self._arguments)

    def terminate(self) -> None:
        """Sends SIGTERM, as systemd and containers do; `wait` checks the result."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Waits until it has exited with 0."""
        assert self._process is not None
        try:
            code = self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {STOP_TIMEOUT} s:\n{self.log()}") from None
        assert code == 0, self.log()
        self._forget()

    def stop(self) -> None:
        self.terminate()
        self.wait()

    def kill(self) -> None:
        """Sends SIGKILL to the program and its children, as a power cut would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._forget()

    def log(self) -> str:
        return (self.folder / self.log_name).read_text(errors="replace")

    def _launch(self, *arguments: str) -> None:
        self._log = (self.folder / self.log_name).open("ab")
        log = self._log.fileno()
        self._process = start(arguments, self.folder, self._settings, log, log, program=self.program)

    def _forget(self) -> None:
        self._log.close()
        self._process = None


class Worker(Program):
    """`with Worker(folder, "--concurrency", "2", REDIS_URL="…"):`"""

    log_name = "worker.log"

    def start(self) -> None:
        self._launch("worker", *self._arguments)


class Service(Program):
    """`with Service(folder, S3_BUCKET="…") as service:`. `ready` is the path that responds 200 once it has started."""

    log_name = "server.log"

    def __init__(self, folder: Path, *arguments: str, ready: str = "/readyz", **settings: str) -> None:
        super().__init__(folder, *arguments, **settings)
        self.ready = ready
        self.url = ""

    def start(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._launch("serve", "--port", str(port), *self._arguments)
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if http.get(self.url + self.ready).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"darkroom serve did not come up:\n{self.log()}")

    def metric(self, name: str, **labels: str) -> float:
        """Returns the sum of a counter or gauge over all series with these labels."""
        total = 0.0
        for line in http.get(f"{self.url}/metrics").text.splitlines():
            if line.startswith((name + "{", name + " ")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total


def command_line(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("darkroom")), *arguments]


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Returns these settings only: variables of the developer's shell must not affect tests.

    One render process, unless `settings` say otherwise: each takes half a second of processor time to start.
    """
    return {"PATH": os.defpath, "HOME": "/nonexistent", "LOG_FORMAT": "json", "RENDER_PROCESSES": "1", **settings}
