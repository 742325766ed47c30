"""A real Redis for the tests: Debian's `redis-server`, on loopback, with nothing on disk."""

import shutil
import signal

from redis import Redis
from redis.exceptions import RedisError

from tests.server import Server, free_port


class RedisServer(Server):
    """Keeps its data as long as its process runs: `restart` empties it, `pause` does not."""

    name = "Redis"
    stop_seconds = 10

    def __init__(self, **options: str) -> None:
        """`options`: of redis.conf, with `_` for `-`."""
        super().__init__()
        self._options = {name.replace("_", "-"): value for name, value in options.items()}
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns when it answers. Does nothing if it is running."""
        if not self._runs():
            self._launch(self._command(), self._failure)

    def stop(self) -> None:
        """Stops in order: clients are disconnected."""
        self._end(signal.SIGTERM)

    def empty(self) -> None:
        """Restarts it in order, without its data."""
        self.stop()
        self.start()

    def refresh(self) -> None:
        """Restores the initial state: running, not paused, empty, default configuration."""
        self.resume()
        self.start()
        with self.client() as client:
            client.config_set("maxmemory", 0)
            client.flushall()

    def fill(self) -> None:
        """Makes it reject writes, as if it were out of memory."""
        with self.client() as client:
            client.config_set("maxmemory", 1)

    def client(self) -> Redis:
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=5)

    def _command(self) -> list[str]:
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: apt-get install redis-server"
        options = {"bind": "127.0.0.1", "port": str(self._port), "save": "", "appendonly": "no", "dir": "."}
        options |= self._options
        return [program, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _failure(self) -> RedisError | None:
        with self.client() as client:
            try:
                client.ping()
            except RedisError as error:
                return error
        return None
