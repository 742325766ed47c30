"""Uploads while workers are killed, then also while Redis loses its data: `python -m tests.soak.workers [UPLOADS]`.

Prints the results; fails if an upload is lost, duplicated or unfinished.
"""

import itertools
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import httpx

from ingest.records import JobStatus
from tests.cluster import TINY, Cluster, small_picture
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Service, Worker

VARIANTS = [f"{size}.{format}" for size in ("tiny", "small") for format in ("jpg", "webp", "avif")]
UPLOADERS, WORKERS = 4, 2
DONE = "warm-up ended"
PATIENCE = 120.0  # seconds without another finished job


@dataclass(frozen=True)
class Soaked:
    """`seconds`: from the first upload to the end of the last job. `behind`: the part of them after the last upload."""

    uploads: int
    kills: int
    seconds: float
    behind: float


def soak(cluster: Cluster, uploads: int, *, every: float, empty_redis: bool = False) -> Soaked:
    """Uploads while a worker is killed every `every` seconds, until all jobs have ended. Then compares everything."""
    (cluster.folder / "darkroom.toml").write_text(TINY)
    start = time.monotonic()
    with ExitStack() as stack:
        ingest = stack.enter_context(cluster.ingest())
        workers = [stack.enter_context(cluster.worker(f"worker-{n}", "--concurrency", "2")) for n in range(WORKERS)]
        killer = stack.enter_context(Killer(workers, every))
        with client_of(ingest) as client, ThreadPoolExecutor(UPLOADERS) as pool:
            half = uploads // 2
            accepted = [*pool.map(partial(upload, client), range(half))]
            if empty_redis:
                cluster.redis.kill()
                cluster.redis.start()
            accepted += pool.map(partial(upload, client), range(half, uploads))
        uploaded = time.monotonic()
        wait_until_all_ended(cluster)
        ended = time.monotonic()
        kills = killer.kills
    compare(cluster, accepted)
    return Soaked(uploads, kills, ended - start, ended - uploaded)


def client_of(service: Service) -> httpx.Client:
    """Keeps connections open, because creating a client takes longer than an upload."""
    return httpx.Client(base_url=service.url, timeout=60)


def upload(client: httpx.Client, seed: int) -> str:
    answer = client.post("/images/upload", files={"image": ("photo.jpg", small_picture(seed))})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def wait_until_all_ended(cluster: Cluster) -> None:
    done, deadline = -1, time.monotonic() + PATIENCE
    while True:
        statuses = cluster.statuses()
        if not statuses[JobStatus.PENDING] and not statuses[JobStatus.PROCESSING]:
            return
        if statuses[JobStatus.COMPLETE] > done:
            done, deadline = statuses[JobStatus.COMPLETE], time.monotonic() + PATIENCE
        assert time.monotonic() < deadline, (
            f"no job more was done within {PATIENCE:g} s: {statuses}. In Redis: {in_redis(cluster)}"
        )
        time.sleep(0.2)


def in_redis(cluster: Cluster) -> dict[str, object]:
    """Returns the queue's data of each unfinished job: its fields, and the milliseconds left of its lock."""
    with cluster.redis.client() as redis:
        jobs = [key for key in redis.keys("bull:image-processing:????????-*") if redis.type(key) == "hash"]
        fields = {key: redis.hgetall(key) for key in jobs}
        return {
            key: known | {"lock": redis.pttl(f"{key}:lock")}
            for key, known in fields.items()
            if "finishedOn" not in known
        } | {name: redis.lrange(f"bull:image-processing:{name}", 0, -1) for name in ("active", "wait")}


def compare(cluster: Cluster, accepted: list[str]) -> None:
    """Checks that acknowledged uploads, rows and objects are the same."""
    assert cluster.statuses() == {
        JobStatus.PENDING: 0,
        JobStatus.PROCESSING: 0,
        JobStatus.COMPLETE: len(accepted),
        JobStatus.FAILED: 0,
    }
    jobs, pictures = cluster.rows()
    assert sorted(jobs) == sorted(pictures) == sorted(accepted)
    expected = [f"originals/{upload_id}" for upload_id in accepted]
    expected += [f"images/{upload_id}/{variant}" for upload_id in accepted for variant in VARIANTS]
    assert sorted(cluster.objects()) == sorted(expected)


class Killer:
    """Kills and restarts `workers` in turn; waits until a restarted one is working before the next kill."""

    def __init__(self, workers: list[Worker], every: float) -> None:
        self._workers = itertools.cycle(workers)
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            worker = next(self._workers)
            worker.kill()
            self.kills += 1
            done = worker.log().count(DONE)
            worker.start()
            while worker.log().count(DONE) == done and not self._stopped.wait(0.1):
                pass


def main(uploads: int) -> None:
    for empty_redis in (False, True):
        with (
            tempfile.TemporaryDirectory() as folder,
            RedisServer() as redis,
            PostgresServer() as postgres,
            SeaweedServer() as seaweedfs,
        ):
            cluster = Cluster.create(Path(folder), redis, postgres, seaweedfs)
            soaked = soak(cluster, uploads, every=4, empty_redis=empty_redis)
        print(
            f"{soaked.uploads} uploads, {soaked.kills} workers killed{', Redis emptied half-way' * empty_redis}: "
            f"all complete, none lost, none doubled, in {soaked.seconds:.0f} s "
            f"({soaked.behind:.0f} s after the last upload)",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
