"""More cold requests than a service can derive, together with hits from memory."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tests.client import Answer, get

FORMATS = ("jpg", "png", "webp", "avif")
SIDES = range(300, 1000)
SIZES = "".join(f"[sizes.s{side}]\nwidth = {side}\n" for side in SIDES)
"""For darkroom.toml: 700 sizes, in two densities and four formats, so that no variant is requested twice."""

_LATE = 30.0  # seconds; far beyond the deadline of 5


@dataclass
class Flood:
    """The requests and responses. Seconds are the callers' waits."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)
    hit_seconds: list[float] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)


def cold_paths(ids: list[str]) -> Iterator[str]:
    """Yields each path once; consecutive ones differ in upload, size or format."""
    for side, density, format in itertools.product(SIDES, ("", "@2x"), FORMATS):
        for upload_id in ids:
            yield f"/images/{upload_id}/s{side}{density}.{format}"


async def capacity(url: str, paths: Iterator[str], seconds: float, at_once: int = 4) -> float:
    """Measures cold variants a second, requested by a few callers that wait for each."""
    end, done = time.monotonic() + seconds, 0

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < end:
            assert (await _get(url + next(paths))).status == 200
            done += 1

    start = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(at_once)))
    return done / (time.monotonic() - start)


async def flood(url: str, paths: Iterator[str], hot: str, rate: float, seconds: float) -> Flood:
    """Sends `rate` cold requests a second without waiting for responses, together with hits and health checks."""
    seen = Flood()
    end = time.monotonic() + seconds
    asked: set[asyncio.Task[None]] = set()
    beside = [
        asyncio.create_task(_each(0.05, end, lambda: _hit(url, hot, seen))),
        asyncio.create_task(_each(0.25, end, lambda: _health(url, seen))),
    ]
    due = time.monotonic()
    while (now := time.monotonic()) < end:
        while due <= now:
            task = asyncio.create_task(_cold(url, next(paths), seen))
            asked.add(task)
            task.add_done_callback(asked.discard)
            due += 1 / rate
        await asyncio.sleep(0.005)
    await asyncio.gather(*asked, *beside)
    return seen


async def _cold(url: str, path: str, seen: Flood) -> None:
    start = time.monotonic()
    answer = await _get(url + path)
    seconds = time.monotonic() - start
    seen.statuses[answer.status] += 1
    if answer.status == 200:
        seen.cold_seconds.append(seconds)
    elif answer.status == 503 and answer.headers.get("retry-after", "").isdecimal():
        seen.refused_seconds.append(seconds)
        seen.retry_after.append(int(answer.headers["retry-after"]))
        seen.refused.append(path)
    elif answer.status != 504:
        seen.wrong.append(f"{path}: {answer.status} {answer.headers}")
    if answer.status != 200 and answer.headers.get("cache-control") != "no-store":
        seen.wrong.append(f"{path}: {answer.status} may be kept")


async def _hit(url: str, path: str, seen: Flood) -> None:
    start = time.monotonic()
    answer = await _get(url + path)
    seen.hit_seconds.append(time.monotonic() - start)
    if answer.status != 200 or answer.headers.get("cache-status") != "darkroom; hit":
        seen.wrong.append(f"hit: {answer.status} {answer.headers}")


async def _health(url: str, seen: Flood) -> None:
    start = time.monotonic()
    answer = await _get(url + "/healthz")
    seen.health_seconds.append(time.monotonic() - start)
    if answer.status != 200:
        seen.wrong.append(f"/healthz: {answer.status}")


async def _get(url: str) -> Answer:
    async with asyncio.timeout(_LATE):
        return await get(url)


async def _each(interval: float, end: float, ask: Callable[[], Awaitable[None]]) -> None:
    while time.monotonic() < end:
        await ask()
        await asyncio.sleep(interval)
