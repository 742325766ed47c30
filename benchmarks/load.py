"""Requests over loopback and their times: by a minimal client, and by wrk if it is installed."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

LIMIT = 300  # seconds that one load may take
SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Load:
    """`took` are milliseconds, one for each request."""

    per_second: float
    took: Sequence[float]

    @property
    def p50(self) -> float:
        return median(self.took)

    @property
    def p99(self) -> float:
        return quantiles(self.took, n=100, method="inclusive")[98]


class Connection:
    """A keep-alive connection. Reads only responses with a Content-Length, which all peers send."""

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def get(self, path: str) -> bytes:
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        if head.split(b" ", 2)[1] != b"200":
            raise RuntimeError(f"{path}: {head.decode(errors='replace')}{body[:300].decode(errors='replace')}")
        return body

    def close(self) -> None:
        self._writer.close()


async def fire(port: int, paths: Sequence[str], at_once: int) -> Load:
    """Requests each path once, over `at_once` connections that are opened before the time is measured."""
    waiting = iter(paths)
    took: list[float] = []
    connections = [await Connection.to(port) for _ in range(at_once)]

    async def work(connection: Connection) -> None:
        for path in waiting:
            start = time.perf_counter()
            await connection.get(path)
            took.append((time.perf_counter() - start) * 1000)

    start = time.perf_counter()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*map(work, connections))
    seconds = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return Load(len(took) / seconds, took)


def hammer(port: int, path: str, at_once: int, seconds: int, etag: str | None = None) -> tuple[float, float, float]:
    """Requests one path repeatedly. Returns requests a second, p50 and p99 in milliseconds.

    `etag`: revalidates that copy (wrk only).
    """
    if shutil.which("wrk"):
        condition = ["--header", f"If-None-Match: {etag}"] if etag else []
        return _wrk(f"http://127.0.0.1:{port}{path}", at_once, seconds, condition)
    sample = asyncio.run(fire(port, [path] * SAMPLE, at_once))
    load = asyncio.run(fire(port, [path] * max(SAMPLE, int(sample.per_second * seconds)), at_once))
    return load.per_second, load.p50, load.p99


def client() -> str:
    return "wrk" if shutil.which("wrk") else "a client in Python, which is the limit (wrk is missing)"


def _wrk(url: str, at_once: int, seconds: int, condition: Sequence[str]) -> tuple[float, float, float]:
    command = ["wrk", "--threads", "1", "--connections", str(at_once), "--duration", f"{seconds}s", "--latency"]
    answer = subprocess.run(
        [*command, *condition, url], capture_output=True, text=True, check=True, timeout=seconds + 30
    ).stdout
    if "Non-2xx" in answer:
        raise RuntimeError(answer)
    return (
        float(_found(r"Requests/sec:\s+([\d.]+)", answer)),
        _milliseconds(_found(r"\n +50%\s+(\S+)", answer)),
        _milliseconds(_found(r"\n +99%\s+(\S+)", answer)),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s)", text)
    assert match is not None, text
    return float(match[1]) * {"us": 0.001, "ms": 1, "s": 1000}[match[2]]
