"""A uvicorn with short limits, an application that a test scripts, and a client on a bare socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.web.bounded_http import BoundedHttp
from proxy.web.variant_http import Hit, VariantHttp

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


SOON = 0.4  # seconds


LARGE = 30 << 20
"""More bytes than the kernel buffers for a client that does not read."""


SMALL = 60_000
"""Fewer bytes than a transport buffers before it pauses the app."""


LEAST_RATE = 1024


class Hasty(VariantHttp):
    head_seconds = SOON
    read_seconds = SOON


class Unhurried(VariantHttp):
    """Its readers are checked by the tests, never by the clock."""

    read_seconds = 1024.0


class App:
    """Answers `ok` at once, or `LARGE` bytes to `/large`, `SMALL` bytes to `/small`, or to `/body` the number of bytes
    that were sent; `/events` never ends, `/pieces` has no length. With `hits`, `/` and `/small` need no call.
    """

    def __init__(self, *, hits: bool = False) -> None:
        self._hits = hits

    def find_hit(self, path: bytes, _if_none_match: bytes | None) -> Hit | None:
        body = {b"/": b"ok", b"/small": bytes(SMALL)}.get(path) if self._hits else None
        return body and (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body), body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"ok"
        if scope["path"] == "/large":
            body = bytes(LARGE)
        if scope["path"] == "/small":
            body = bytes(SMALL)
        if scope["path"] == "/body":
            body = str(await self._size(receive)).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        if scope["path"] == "/events":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"event", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if scope["path"] == "/pieces":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await send({"type": "http.response.body", "body": b"two"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _size(self, receive: Receive) -> int:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        return size


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Reads one response; returns status and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return int(head.split()[1]), await self.reader.readexactly(int(length.split(b":")[1]))

    async def closed(self) -> bool:
        """Waits until the server closes the connection; False after a time-out."""
        with suppress(ConnectionError):
            try:
                async with asyncio.timeout(20 * SOON):
                    while await self.reader.read(1 << 16):
                        pass
            except TimeoutError:
                return False
        return True

    async def closed_while_dripping(self) -> bool:
        """As `closed`, while a byte is sent four times per deadline."""

        async def drip() -> None:
            while True:
                await self.send(b"x")
                await asyncio.sleep(SOON / 4)

        dripping = asyncio.create_task(drip())
        closed = await self.closed()
        dripping.cancel()
        return closed


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def served(protocol: type[BoundedHttp], app: ASGIApp | None = None) -> AsyncIterator[uvicorn.Server]:
    http: Any = partial(protocol, least_rate=LEAST_RATE)
    config = uvicorn.Config(
        app or App(), port=0, http=http, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


def address(server: uvicorn.Server) -> tuple[str, int]:
    host, port = server.servers[0].sockets[0].getsockname()
    return host, port
