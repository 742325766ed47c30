"""A real Postgres for the tests: Debian's binaries, a cluster of its own in a temporary folder, on loopback."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

_VERSIONS = Path("/usr/lib/postgresql")
_START = 60.0  # seconds
_ACCOUNT = "postgres"  # Postgres refuses to run as root; Debian's package makes this account


class PostgresServer:
    """One cluster, durable as in production (fsync is on), with one user, whose password is made up here."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._port = _free_port()
        self._password = secrets.token_hex(10)
        self._process: subprocess.Popen[bytes] | None = None
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, _ACCOUNT)
            self._account = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}

    def __enter__(self) -> Self:
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when it takes queries, after such recovery as its end made necessary."""
        if self._process is not None and self._process.poll() is None:
            return
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": 150,
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", "data", *(f"--{name}={value}" for name, value in options.items())],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                **self._account,
            )
        deadline = time.monotonic() + _START
        while (failure := self._run("psql", "-qc", "SELECT 1", "postgres")) is not None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self._folder / "log").read_text(errors="replace")[-4000:]
                raise RuntimeError(f"Postgres did not start ({failure}):\n{log_text}")
            time.sleep(0.05)

    def create_database(self, template: str = "template1") -> str:
        """The URL of a new one, equal to `template`."""
        name = f"test_{uuid4().hex}"
        failure = self._run("createdb", "--template", template, name)
        assert failure is None, failure
        return self.url(name)

    def url(self, database: str, password: str | None = None) -> str:
        return f"postgresql+asyncpg://darkroom:{password or self._password}@127.0.0.1:{self._port}/{database}"

    def stop(self) -> None:
        """Connections are ended and told so; a checkpoint is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the server and its sessions, as a power cut. What was committed is there after the next start."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    def pause(self) -> None:
        """Connections are accepted, by the kernel, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialize(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)  # in a folder that only its owner enters
        done = subprocess.run(
            [
                *(_program("initdb"), "--pgdata=data", "--username=darkroom", "--pwfile=password"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            cwd=self._folder,
            env={"PATH": os.defpath},
            text=True,
            capture_output=True,
            check=False,
            **self._account,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}\n{done.stderr}")

    def _run(self, program: str, *arguments: str) -> str | None:
        """None if it succeeded, or what it said."""
        done = subprocess.run(
            [_program(program), "-h", "127.0.0.1", "-p", str(self._port), "-U", "darkroom", *arguments],
            env={"PATH": os.defpath, "PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "5"},
            text=True,
            capture_output=True,
            check=False,
        )
        return done.stderr if done.returncode else None

    def _end(self, signum: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        if signum is signal.SIGKILL:
            self._signal(signum)
        else:
            self._process.send_signal(signum)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._process.kill()
        self._process.wait()
        self._process = None

    def _signal(self, signum: signal.Signals) -> None:
        """To the server and its sessions. Each has a process group of its own."""
        if self._process is None:
            return
        for process in (self._process.pid, *_children(self._process.pid)):
            with suppress(ProcessLookupError):
                os.kill(process, signum)


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:  # it has ended
        return []


def postgres_program(name: str) -> str | None:
    """The newest version's, where Debian puts it, or what the PATH has; None where there is none."""
    found = sorted(_VERSIONS.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


def _program(name: str) -> str:
    program = postgres_program(name)
    assert program, f"{name} is not installed: apt-get install postgresql"
    return program


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
