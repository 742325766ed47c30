"""A long flood, then hits on many uploads: `python -m tests.soak.load [MINUTES] [UPLOADS]`.

Prints responses, times, and the server's resources before and after; fails on a wrong response or a leak.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import httpx

from tests.load.flood import SIZES
from tests.load.leaks import Holdings, at_rest
from tests.load.test_flood import BUDGET_MB, SETTINGS, overwhelm, upload
from tests.pictures import disc, jpeg
from tests.service import Service
from tests.watch import Watch

T = TypeVar("T")
R = TypeVar("R")

UPLOADERS = 8
HITTERS = 16
ROUNDS = 10


def main(minutes: float, uploads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flooded, asked = Path(folder, "flooded"), Path(folder, "asked")
        flooded.mkdir()
        (flooded / "darkroom.toml").write_text(SIZES)
        with Service(flooded, **SETTINGS) as service:
            saturate(service, minutes * 60)
        with Service(asked, **SETTINGS) as service:
            asyncio.run(hit(service, uploads))


def saturate(service: Service, seconds: float) -> None:
    ids = upload(service)
    before = at_rest(service)
    watch = Watch(service.pid, interval=0.1)
    with watch.running():
        able, seen = asyncio.run(overwhelm(service, ids, seconds))
    assert seen.wrong == [], seen.wrong[:5]
    print(f"capacity {able:.0f} variants a second; asked for {10 * able:.0f} a second for {seconds:.0f} s")
    print(f"answers {dict(seen.statuses)}; Retry-After {min(seen.retry_after)} to {max(seen.retry_after)} s")
    for name in ("cold", "refused", "hit", "health"):
        times = sorted(getattr(seen, f"{name}_seconds"))
        half, most = (1000 * times[len(times) * percent // 100] for percent in (50, 99))
        print(f"{name}: {len(times)}, ms p50 {half:.0f}, p99 {most:.0f}")
    print(f"render processes {watch.most >> 20} MB at most, of {BUDGET_MB}; the server {watch.most_itself >> 20} MB")
    print("the server's MB by tenths:", *(most >> 20 for most in tenths(watch.itself)))
    tell(before, at_rest(service))


async def hit(service: Service, uploads: int) -> None:
    """Requests a variant of every upload, in rounds. Compares the memory of early and late rounds."""
    picture = jpeg(disc((200, 40, 40), side=120).convert("RGB"))
    start = time.monotonic()
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        ids = await in_turn(UPLOADERS, [None] * uploads, lambda _: taken(client, picture))
        paths = [f"/images/{upload_id}/small.webp" for upload_id in ids]
        await in_turn(HITTERS, paths, lambda path: fetched(client, path))
        print(f"{uploads} uploads, a variant of each: {time.monotonic() - start:.0f} s")
        rounds: list[Holdings] = []
        for _ in range(ROUNDS):
            start = time.monotonic()
            random.shuffle(paths)
            await in_turn(HITTERS, paths, lambda path: fetched(client, path))
            rounds.append(await asyncio.to_thread(at_rest, service))
            print(f"{uploads / (time.monotonic() - start):.0f} a second; {rounds[-1].memory >> 20} MB")
    tell(rounds[0], rounds[-1])
    growth = rounds[-1].memory - rounds[ROUNDS // 2].memory  # by then the caches are full
    assert growth < 8 << 20, f"{growth} bytes in {ROUNDS // 2} rounds"


async def in_turn(at_once: int, items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """Returns the results of `work`, `at_once` at a time."""
    left = iter(items)

    async def one() -> list[R]:
        return [await work(item) for item in left]

    return [result for results in await asyncio.gather(*(one() for _ in range(at_once))) for result in results]


async def taken(client: httpx.AsyncClient, picture: bytes) -> str:
    answer = await client.post("/images/upload", files={"image": picture})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


async def fetched(client: httpx.AsyncClient, path: str) -> None:
    while (answer := await client.get(path)).status_code == 503:
        await asyncio.sleep(int(answer.headers["retry-after"]))
    assert answer.status_code == 200, answer.text


def tenths(values: list[int]) -> list[int]:
    """Returns the maximum of each tenth of the values."""
    step = len(values) // 10
    return [max(values[start : start + step]) for start in range(0, 10 * step, step)]


def tell(before: Holdings, after: Holdings) -> None:
    for name in ("descriptors", "threads", "tasks"):
        print(f"{name}: {getattr(before, name)} before, {getattr(after, name)} after")
    print(f"the server's memory: {before.memory >> 20} MB before, {after.memory >> 20} MB after")
    assert after.files == []
    assert after.descriptors <= before.descriptors + 128
    assert after.tasks <= before.tasks + 8


if __name__ == "__main__":
    main(*(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000))
