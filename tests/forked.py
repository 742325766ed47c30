"""Starts `darkroom` by forking a process that has imported the modules: they are most of a start's processor time.

The fork runs what the installed command runs. As a program, this file is the process that is forked: it gets requests
on its standard input, one message each.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

MODULES = (
    *("aiosqlite", "alembic.command", "anyio._backends._asyncio", "asyncpg", "boto3", "bullmq", "cryptography.fernet"),
    *("httptools", "redis.asyncio", "sqlalchemy.dialects.postgresql.asyncpg", "typer", "uvloop"),
    *("ingest.ingest_services", "ingest.web.ingest_app", "proxy.web.app", "proxy.web.variant_http"),
)
"""Not what reads the environment when it is imported: typer's output, OpenTelemetry, and `ingest.cli`."""

_MESSAGE = 1 << 17  # bytes at most, with the environment
_START_SECONDS = 60


class Forked:
    """A running `darkroom`, in a session of its own. Has the part of `subprocess.Popen` that tests need."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdout: int, stderr: int
    ) -> None:
        request = json.dumps({"arguments": arguments, "folder": str(folder), "environment": environment}).encode()
        self.returncode: int | None = None
        told, theirs = os.pipe()
        self._told = os.fdopen(told, "rb", buffering=0)
        try:
            socket.send_fds(_forking_process(), [request], [theirs, stdout, stderr])
        finally:
            os.close(theirs)
        self.pid = int(self._next(_START_SECONDS) or 0)
        assert self.pid, "the process that is forked has ended"

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code, negative for a signal. Raises TimeoutExpired."""
        if self.returncode is None:
            self.returncode = int(self._next(timeout) or -signal.SIGKILL)
            self._told.close()
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def _next(self, timeout: float | None) -> bytes:
        if not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("darkroom", timeout or 0)
        return self._told.readline()


@cache
def _forking_process() -> socket.socket:
    """Starts it with the environment that all tests' programs have, so that its streams have their encoding."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.defpath, "HOME": "/nonexistent"},
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve() -> None:
    """Forks for each request. Returns in forks that have become `darkroom`, and at the end."""
    for name in MODULES:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for the forks end unnoticed
    requests = socket.socket(fileno=0)
    while True:
        message, descriptors, *_ = socket.recv_fds(requests, _MESSAGE, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _become(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(request: dict[str, Any], told: int, stdout: int, stderr: int) -> None:
    """Forks again: one becomes `darkroom`, the other waits for it and tells its exit code."""
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.setsid()
    os.write(told, b"%d\n" % os.getpid())
    os.close(told)
    for descriptor, number in ((os.open(os.devnull, os.O_RDONLY), 0), (stdout, 1), (stderr, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()  # noqa: TID251 - a new program's environment
    os.environ.update(request["environment"])  # noqa: TID251 - a new program's environment
    tempfile.tempdir = None  # TMPDIR may be another
    sys.argv = [str(Path(sys.executable).with_name("darkroom")), *request["arguments"]]
    import_module("ingest.__main__").main()


if __name__ == "__main__":
    _serve()
