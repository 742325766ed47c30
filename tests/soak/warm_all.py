"""`darkroom warm --all`, killed and run again: `python -m tests.soak.warm_all [UPLOADS]`.

Prints its seconds and its memory; fails if an upload is left without a variant.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ingest.records import STALLED_AFTER, JobStatus
from tests.cluster import TINY, Cluster
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Program
from tests.soak.workers import UPLOADERS, client_of, compare, upload

PATIENCE = 7200.0  # seconds for the whole run


class WarmAll(Program):
    """The running command. Standard output and log are in one file."""

    log_name = "warm.log"

    def start(self) -> None:
        self._launch("warm", "--all", "--json")

    def ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def resident(self) -> float:
        """Returns the MB of the command itself; its render processes are bounded by recycling."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
        return int(line.split()[1]) / 1024


def soak(cluster: Cluster, uploads: int) -> None:
    (cluster.folder / "darkroom.toml").write_text(TINY)
    start = time.monotonic()
    with (
        cluster.ingest(WARM_UP="false") as ingest,
        client_of(ingest) as client,
        ThreadPoolExecutor(UPLOADERS) as pool,
    ):
        accepted = [*pool.map(partial(upload, client), range(uploads))]
    say(f"{uploads} uploads", start)

    warm = WarmAll(cluster.machine("operator"), **cluster.settings)
    start = time.monotonic()
    with warm:
        watch(cluster, warm, until=uploads // 5)
    say(f"killed at {cluster.statuses()[JobStatus.COMPLETE]} complete", start)

    time.sleep(STALLED_AFTER.total_seconds())  # until its jobs count as stalled
    start = time.monotonic()
    with warm:
        memory = watch(cluster, warm, until=None)
    report = json.loads(warm.log()[warm.log().rindex("{\n") :])
    say(f"run again: {report}", start)
    tenth = max(1, len(memory) // 10)
    say(
        f"memory of the command, MB: {memory[tenth]:.0f} early, {memory[-tenth]:.0f} late, {max(memory):.0f} at most",
        start,
    )
    assert report == {"complete": uploads, "failed": [], "failedCount": 0, "skipped": 0, "unknown": []}
    compare(cluster, accepted)

    start = time.monotonic()
    with warm:
        watch(cluster, warm, until=None)
    say("once more, with nothing to do", start)


def watch(cluster: Cluster, warm: WarmAll, *, until: int | None) -> list[float]:
    """Samples its memory each second, until it has exited successfully, or until `until` uploads are complete."""
    memory, deadline = [], time.monotonic() + PATIENCE
    while not warm.ended() and (until is None or cluster.statuses()[JobStatus.COMPLETE] < until):
        memory.append(warm.resident())
        assert time.monotonic() < deadline
        time.sleep(1)
    if until is None:
        warm.wait()
    return memory


def say(what: str, start: float) -> None:
    print(f"{what} ({time.monotonic() - start:.0f} s)", flush=True)


def main(uploads: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as redis,
        PostgresServer() as postgres,
        SeaweedServer() as seaweedfs,
    ):
        soak(Cluster.create(Path(folder), redis, postgres, seaweedfs), uploads)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
