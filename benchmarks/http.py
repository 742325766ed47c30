"""The running service: hits, cold requests, and many asking for one cold variant."""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import httpx

from benchmarks.report import table
from tests.pictures import camera_jpeg
from tests.service import Service

HITS = 3000
CONNECTIONS = 32
UPLOADS = 24


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), WARM_UP="false") as service:
        asyncio.run(measure(service))


async def measure(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=60, limits=httpx.Limits(max_connections=64)) as client:
        picture = camera_jpeg(orientation=6)
        ids = []
        for _ in range(UPLOADS):
            answer = await client.post("/images/upload", files={"image": ("photo.jpg", picture)})
            ids.append(answer.json()["uploadId"])
        cold = [f"/images/{one}/medium.{format}" for one in ids[1:] for format in ("jpg", "webp", "avif")]
        rows = [
            ("64 at once, one cold variant", *await fire(client, [f"/images/{ids[0]}/large.avif"] * 64, 64)),
            (f"cold, 12 MP, {len(cold)} distinct variants, 4 at once", *await fire(client, cold, 4)),
            (f"hits, {CONNECTIONS} at once", *await fire(client, [cold[0]] * HITS, CONNECTIONS)),
        ]
        derived = service.metric("darkroom_derivations_total")
        table("Over HTTP, client in Python on the same machine", ("load", "requests/s", "p50 ms", "p99 ms"), rows)
        print(f"\nDerivations: {derived:.0f} for {1 + len(cold)} distinct variants.")


async def fire(client: httpx.AsyncClient, paths: list[str], at_once: int) -> tuple[float, float, float]:
    """Requests a second, and the median and 99th percentile of their milliseconds."""
    waiting = iter(paths)
    took: list[float] = []

    async def work() -> None:
        for path in waiting:
            start = time.perf_counter()
            (await client.get(path)).raise_for_status()
            took.append((time.perf_counter() - start) * 1000)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    cuts = quantiles(took, n=100)
    return len(paths) / (time.perf_counter() - start), cuts[49], cuts[98]
