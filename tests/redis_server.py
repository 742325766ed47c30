"""A real Redis for the tests: Debian's `redis-server`, on loopback, with nothing on disk."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

_START = 30.0  # seconds; a tenth of one is usual


class RedisServer:
    """Always the same port, whatever befalls it. Its memory lasts as long as its process: `restart` comes back empty,
    `pause` keeps it.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

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
        """Returns when it answers. Does nothing where it runs already."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=subprocess.STDOUT, cwd=self._folder)
        deadline = time.monotonic() + _START
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except RedisError as error:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        log_text = (self._folder / "log").read_text(errors="replace")[-4000:]
                        raise RuntimeError(f"redis-server did not start ({error}):\n{log_text}") from error
                    time.sleep(0.02)
                else:
                    return

    def stop(self) -> None:
        """In peace: who is connected is told."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    def empty(self) -> None:
        """Restarts it in peace, so that all it knew is gone."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Connections are accepted, by the kernel, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def refresh(self) -> None:
        """Running, awake, empty and as it was configured at first: what a test should find."""
        self.resume()
        self.start()
        with self.client() as client:
            client.config_set("maxmemory", 0)
            client.flushall()

    def fill(self) -> None:
        """From now on it refuses to write, for want of memory."""
        with self.client() as client:
            client.config_set("maxmemory", 1)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self) -> Redis:
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=5)

    def _command(self) -> list[str]:
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: apt-get install redis-server"
        options = {"bind": "127.0.0.1", "port": str(self._port), "save": "", "appendonly": "no", "dir": "."}
        return [program, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _end(self, signum: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signum)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
