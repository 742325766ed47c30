"""Many concurrent clients of a service, and their responses."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.service import Service
from tests.waiting import GUARD


@dataclass(frozen=True)
class Answer:
    status: int
    cache_status: str
    body: bytes


async def ask(url: str, start: asyncio.Event, connected: Callable[[], None]) -> Answer:
    """Sends one GET on a connection of its own, together with all others. Raises if the server hangs up."""
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


def count_derivations(*services: Service) -> float:
    return sum(service.metric("darkroom_derivations_total") for service in services)
