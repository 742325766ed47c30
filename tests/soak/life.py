"""Everyday use: `python -m tests.soak.life [MINUTES]`, for each of two installations.

Uploads with warm-ups, events, variants (whole, ranges, conditional, by Accept), refusals and deletions. First one
server with its own folder, then a server and a worker over S3, Postgres and Redis. Prints the idle resources after
every round; fails on a wrong response, or if they grow.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.cluster import TINY, Cluster, small_picture
from tests.load.leaks import at_rest
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Program, Service
from tests.watch import open_descriptors, resident

ROUNDS = 8
CLIENTS = 8
SETTINGS = {"MEMORY_CACHE_MB": "1"}  # a larger one would look like growth while it fills
KEPT = 3  # of ten uploads; the others are deleted
VARIANTS = [f"{size}.{format}" for size in ("tiny", "small", "small@2x") for format in ("jpg", "png", "webp", "auto")]
PICTURES = [small_picture(seed) for seed in range(20)]
GROWTH = 24 << 20  # bytes: the caches of 10,000 paths, response heads and uploads
TASKS = 30  # an idle server has a dozen
SPARE = 16  # descriptors: connections of pools


class Client:
    """Creates and deletes uploads, one after another. Each response is correct, or 503."""

    def __init__(self, http: httpx.AsyncClient, rng: random.Random) -> None:
        self._http, self._rng = http, rng
        self.uploads = self.answers = 0

    async def run(self, end: float) -> None:
        while time.monotonic() < end:
            await self._refused()
            upload_id = await self._upload()
            await self._follow(upload_id)
            for name in self._rng.sample(VARIANTS, 6):
                await self._get(f"/images/{upload_id}/{name}")
            if self._rng.randrange(10) >= KEPT:
                await self._ask("DELETE", f"/images/{upload_id}", 204)
                await self._ask("GET", f"/images/{upload_id}/tiny.jpg", 404)

    async def _upload(self) -> str:
        files = {"image": ("picture.jpg", self._rng.choice(PICTURES))}
        answer = await self._ask("POST", "/images/upload", 201, files=files)
        self.uploads += 1
        return str(answer.json()["uploadId"])

    async def _follow(self, upload_id: str) -> None:
        """Follows the events of a warm-up, to the end or only the first."""
        patient = self._rng.random() < 0.7
        async with self._http.stream("GET", f"/images/{upload_id}/events") as events:
            assert events.status_code == 200
            async for line in events.aiter_lines():
                if line.startswith("data:") and not patient:
                    break

    async def _get(self, path: str) -> None:
        whole = await self._ask("GET", path, 200)
        part = await self._ask("GET", path, 206, headers={"Range": "bytes=10-19"})
        assert part.content == whole.content[10:20]
        await self._ask("GET", path, 304, headers={"If-None-Match": whole.headers["etag"]})

    async def _refused(self) -> None:
        picture = self._rng.choice(PICTURES)
        await self._ask("POST", "/images/upload", 422, files={"image": ("cut.jpg", picture[: len(picture) // 2])})
        await self._ask("POST", "/images/upload", 400, files={"image": ("page.jpg", b"<html>" * 100)})
        await self._ask("GET", "/images/00000000-0000-4000-8000-000000000000/tiny.jpg", 404)

    async def _ask(self, method: str, path: str, status: int, **more: Any) -> httpx.Response:
        while (answer := await self._http.request(method, path, **more)).status_code == 503:
            await asyncio.sleep(float(answer.headers["retry-after"]))
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        self.answers += 1
        return answer


def live(service: Service, programs: Sequence[Program], seconds: float, rounds: int = ROUNDS) -> None:
    """`programs`: the service and its workers."""
    held: list[list[tuple[int, int]]] = []
    for number in range(rounds):
        clients = asyncio.run(work(service.url, seconds / rounds, number))
        at_rest(service)
        time.sleep(2)  # keep-alive connections and idle threads end
        tasks = service.metric("darkroom_tasks")
        assert tasks < TASKS, "tasks are left over"
        held.append([(resident(program.pid), open_descriptors(program.pid)) for program in programs])
        text = ", ".join(f"{memory / (1 << 20):.1f} MB and {files} descriptors" for memory, files in held[-1])
        done = f"{sum(each.uploads for each in clients)} uploads, {sum(each.answers for each in clients)} answers"
        print(f"{done}; {text}; {tasks:.0f} tasks", flush=True)
    for early, late in zip(held[1], held[-1], strict=True):
        assert late[0] <= early[0] + GROWTH, "memory grows"
        assert late[1] <= early[1] + SPARE, "descriptors are left open"


async def work(url: str, seconds: float, seed: int) -> list[Client]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        clients = [Client(http, random.Random(f"{seed} {number}")) for number in range(CLIENTS)]
        await asyncio.gather(*(client.run(time.monotonic() + seconds) for client in clients))
    return clients


def main(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "darkroom.toml").write_text(TINY)
        with Service(Path(folder), **SETTINGS) as service:
            live(service, [service], 60 * minutes)
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as redis,
        PostgresServer() as postgres,
        SeaweedServer() as seaweedfs,
    ):
        cluster = Cluster.create(Path(folder), redis, postgres, seaweedfs)
        (cluster.folder / "darkroom.toml").write_text(TINY)
        with cluster.serve(WARM_UP="false", **SETTINGS) as service, cluster.worker(**SETTINGS) as worker:
            live(service, [service, worker], 60 * minutes)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
