"""A real Postgres for the tests: Debian's binaries, a cluster in a temporary folder, on loopback."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.server import Server, free_port

_VERSIONS = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"  # Postgres refuses to run as root; Debian's package creates this account


class PostgresServer(Server):
    """A cluster with one user and a random password.

    fsync is off: a killed process loses nothing, because the kernel keeps written data; only a power cut would lose it.
    `synchronous_commit` stays on, because it decides whether a commit is written at all.
    """

    name = "Postgres"

    def __init__(self) -> None:
        super().__init__()
        self._port = free_port()
        self._password = secrets.token_hex(10)
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, ACCOUNT)
            self._account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}

    def start(self) -> None:
        """Starts the server. Returns when it accepts queries, after any recovery."""
        if self._runs():
            return
        if not (self._folder / "data").exists():
            self._initialize()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": 150,
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
        }
        self._launch(
            [_program("postgres"), "-D", "data", *(f"--{name}={value}" for name, value in options.items())],
            lambda: self._run("psql", "-qc", "SELECT 1", "postgres"),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            **self._account,
        )

    def create_database(self) -> str:
        """Creates a database. Returns its URL."""
        name = f"test_{uuid4().hex}"
        failure = self._run("createdb", name)
        assert failure is None, failure
        return self.url(name)

    def copy_database(self, url: str) -> str:
        """The URL of a copy, as a backup and its restore would give. The original must have no connections."""
        name = f"test_{uuid4().hex}"
        failure = self._run("createdb", "--template", url.rpartition("/")[2], name)
        assert failure is None, failure
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database and closes its connections."""
        failure = self._run("dropdb", "--force", url.rpartition("/")[2])
        assert failure is None, failure

    def url(self, database: str, password: str | None = None) -> str:
        return f"postgresql+asyncpg://darkroom:{password or self._password}@127.0.0.1:{self._port}/{database}"

    def use_tls(self, certificate: Path | None) -> None:
        """Lets new connections use TLS with a certificate and key in one file. None: no TLS, as at the start."""
        file = self._folder / "tls.pem"
        if certificate is not None:
            shutil.copy(certificate, file)
            file.chmod(0o600)
            if self._account:
                shutil.chown(file, ACCOUNT)
        settings = {"ssl_cert_file": file, "ssl_key_file": file, "ssl": "off" if certificate is None else "on"}
        changes = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()]
        commands = [word for change in (*changes, "SELECT pg_reload_conf()") for word in ("-qc", change)]
        failure = self._run("psql", *commands, "postgres")
        assert failure is None, failure
        deadline = time.monotonic() + self.start_seconds
        in_force = f"SELECT 1 / (current_setting('ssl') = '{settings['ssl']}')::int"
        while failure := self._run("psql", "-qc", in_force, "postgres"):  # it reads its settings again soon
            assert time.monotonic() < deadline, failure
            time.sleep(0.01)

    def stop(self) -> None:
        """Stops in order: connections are closed, and a checkpoint is written."""
        self._end(signal.SIGINT)

    def _initialize(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)  # only its owner can enter the folder
        done = subprocess.run(
            [
                *(_program("initdb"), "--pgdata=data", "--username=darkroom", "--pwfile=password"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
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
        """Returns None if it succeeded, else its output."""
        done = subprocess.run(
            [_program(program), "-h", "127.0.0.1", "-p", str(self._port), "-U", "darkroom", *arguments],
            env={"PATH": os.defpath, "PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "5"},
            text=True,
            capture_output=True,
            check=False,
        )
        return done.stderr if done.returncode else None

    def _end(self, signum: signal.Signals) -> None:
        """Also waits for the child processes: as long as one is left, no server can start on the same data."""
        others = _children(self._process.pid) if self._process else []
        super()._end(signum)
        deadline = time.monotonic() + self.stop_seconds
        while left := [pid for pid in others if _runs(pid)]:
            assert time.monotonic() < deadline, f"Postgres has ended without its processes {left}"
            time.sleep(0.01)

    def _signal(self, signum: signal.Signals) -> None:
        """Sends an orderly stop to the server only, other signals also to its children, which have their own process
        groups.
        """
        others = _children(self._process.pid) if self._process and signum is not signal.SIGINT else []
        super()._signal(signum)
        for process in others:
            with suppress(ProcessLookupError):
                os.kill(process, signum)


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:  # it has exited
        return []


def _runs(process: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def postgres_program(name: str) -> str | None:
    """Returns the newest version's program in Debian's folder, else the one on the PATH, else None."""
    found = sorted(_VERSIONS.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


def _program(name: str) -> str:
    program = postgres_program(name)
    assert program, f"{name} is not installed: apt-get install postgresql"
    return program
