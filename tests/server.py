"""The base of the tests' servers: folder, process, log, start and stop."""

import itertools
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self


class Server:
    """One process in its own temporary folder. Ports stay the same after a restart. `close` stops it and removes the
    folder.
    """

    name: str
    start_seconds = 60.0
    stop_seconds = 30.0

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        raise NotImplementedError

    def restart(self) -> None:
        self.kill()
        self.start()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops the process: the kernel still accepts connections, but nothing responds."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _launch(self, command: list[str], failure: Callable[[], object], **options: Any) -> None:
        """Starts the process. Returns when `failure` returns None; raises with the end of the log after
        `start_seconds`.
        """
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder, **options)
        deadline = time.monotonic() + self.start_seconds
        while (reason := failure()) is not None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self._folder / "log").read_text(errors="replace")[-4000:]
                raise RuntimeError(f"{self.name} did not start ({reason}). The end of its log:\n{log_text}")
            time.sleep(0.05)

    def _end(self, signum: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signum)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self.stop_seconds)
        self._signal(signal.SIGKILL)  # to all its processes, if it has several
        self._process.wait()
        self._process = None

    def _signal(self, signum: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signum)


_FIRST, _BLOCK, _BLOCKS = 10_500, 500, 44
"""Ports: above those that browsers refuse (10080 is the last), below those of outgoing connections (from 32768)."""


def free_port() -> int:
    """Returns a port that nothing listens on, and that no other test takes before its server does.

    Each process that runs tests has its own block of ports, also beside other sessions on this machine.
    """
    claim, numbers = _block()
    for number in itertools.islice(numbers, _BLOCK - 1):
        port = claim.getsockname()[1] + 1 + number % (_BLOCK - 1)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port among {_BLOCK}")


@cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """Claims a block by its first port, which stays bound while this process lives."""
    for first in range(_FIRST, _FIRST + _BLOCK * _BLOCKS, _BLOCK):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
        else:
            return claim, itertools.count()
    raise RuntimeError(f"all {_BLOCKS} blocks of ports are taken")
