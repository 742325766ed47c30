"""More cold requests than a service can derive, come what may, while others ask for what is in memory."""

import asyncio
import itertools
import time
from asyncio import open_connection
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser

FORMATS = ("jpg", "png", "webp", "avif")
SIDES = range(300, 1000)
SIZES = "".join(f"[sizes.s{side}]\nwidth = {side}\n" for side in SIDES)
"""For darkroom.toml: 700 sizes, in two densities and four formats: every request may be for another variant."""

_LATE = 30.0  # seconds; far beyond the deadline of 5


@dataclass
class Flood:
    """What was asked and answered. Seconds are those that callers waited."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)
    hit_seconds: list[float] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message


async def get(port: int, path: str) -> Answer:
    """On a connection of its own. A whole HTTP client would be busier than the server that it floods."""
    async with asyncio.timeout(_LATE):
        reader, writer = await open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: flood\r\nConnection: close\r\n\r\n".encode())
            start, _, fields = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
            headers = BytesHeaderParser().parsebytes(fields)
            await reader.readexactly(int(headers["content-length"]))
        finally:
            writer.close()
    return Answer(int(start.split()[1]), headers)


def cold_paths(ids: list[str]) -> Iterator[str]:
    """Each once; neighbours are of different uploads, sizes and formats."""
    for side, density, format in itertools.product(SIDES, ("", "@2x"), FORMATS):
        for upload_id in ids:
            yield f"/images/{upload_id}/s{side}{density}.{format}"


async def capacity(port: int, paths: Iterator[str], seconds: float, at_once: int = 4) -> float:
    """Cold variants a second, asked for by a few who wait for each."""
    end, done = time.monotonic() + seconds, 0

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < end:
            assert (await get(port, next(paths))).status == 200
            done += 1

    start = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(at_once)))
    return done / (time.monotonic() - start)


async def flood(port: int, paths: Iterator[str], hot: str, rate: float, seconds: float) -> Flood:
    """`rate` cold requests a second, whatever becomes of those before; a hit and a health check beside them."""
    seen = Flood()
    end = time.monotonic() + seconds
    asked: set[asyncio.Task[None]] = set()
    beside = [
        asyncio.create_task(_each(0.05, end, lambda: _hit(port, hot, seen))),
        asyncio.create_task(_each(0.25, end, lambda: _health(port, seen))),
    ]
    due = time.monotonic()
    while (now := time.monotonic()) < end:
        while due <= now:
            task = asyncio.create_task(_cold(port, next(paths), seen))
            asked.add(task)
            task.add_done_callback(asked.discard)
            due += 1 / rate
        await asyncio.sleep(0.005)
    await asyncio.gather(*asked, *beside)
    return seen


async def _cold(port: int, path: str, seen: Flood) -> None:
    start = time.monotonic()
    answer = await get(port, path)
    seconds = time.monotonic() - start
    seen.statuses[answer.status] += 1
    if answer.status == 200:
        seen.cold_seconds.append(seconds)
    elif answer.status == 503 and (answer.headers["retry-after"] or "").isdecimal():
        seen.refused_seconds.append(seconds)
        seen.retry_after.append(int(answer.headers["retry-after"]))
        seen.refused.append(path)
    elif answer.status != 504:
        seen.wrong.append(f"{path}: {answer.status} {answer.headers}")
    if answer.status != 200 and answer.headers["cache-control"] != "no-store":
        seen.wrong.append(f"{path}: {answer.status} may be kept")


async def _hit(port: int, path: str, seen: Flood) -> None:
    start = time.monotonic()
    answer = await get(port, path)
    seen.hit_seconds.append(time.monotonic() - start)
    if answer.status != 200 or answer.headers["cache-status"] != "darkroom; hit":
        seen.wrong.append(f"hit: {answer.status} {answer.headers['cache-status']}")


async def _health(port: int, seen: Flood) -> None:
    start = time.monotonic()
    answer = await get(port, "/healthz")
    seen.health_seconds.append(time.monotonic() - start)
    if answer.status != 200:
        seen.wrong.append(f"/healthz: {answer.status}")


async def _each(interval: float, end: float, ask: Callable[[], Awaitable[None]]) -> None:
    while time.monotonic() < end:
        await ask()
        await asyncio.sleep(interval)
