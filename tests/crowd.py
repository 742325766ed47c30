"""Callers of a service, many at once, and what they see."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from tests.service import Service

GUARD = 60  # seconds until a test gives up waiting for what should happen


@dataclass(frozen=True)
class Answer:
    status: int
    cache_status: str
    body: bytes


async def ask(url: str, start: asyncio.Event, connected: Callable[[], None]) -> Answer:
    """One GET on a connection of its own, sent when all the others are. Raises where the server hangs up."""
    host, _, rest = url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    reader, writer = await asyncio.open_connection(host, int(port))
    connected()
    await start.wait()
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert int(headers["content-length"]) == len(body)
    return Answer(int(lines[0].split()[1]), headers.get("cache-status", ""), body)


async def at_once(urls: Sequence[str]) -> list[Answer]:
    start, waiting = asyncio.Event(), len(urls)

    def connected() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            start.set()

    async with asyncio.timeout(GUARD):
        return await asyncio.gather(*(ask(url, start, connected) for url in urls))


def upload(service: Service, picture: bytes) -> str:
    answer = httpx.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", picture)}, timeout=GUARD)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def until(condition: Callable[[], object], seconds: float = GUARD) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds:g} s"
        time.sleep(0.02)


def status(service: Service, upload_id: str) -> str:
    return str(httpx.get(f"{service.url}/images/{upload_id}/status").json()["status"])


def complete(service: Service, *upload_ids: str) -> bool:
    return {status(service, upload_id) for upload_id in upload_ids} == {"complete"}


def derivations(*services: Service) -> float:
    return sum(service.metric("darkroom_derivations_total") for service in services)
