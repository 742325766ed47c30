"""Clients that read too slowly, on a real uvicorn."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.proxy.web.bounded_server import (
    LARGE,
    SMALL,
    SOON,
    App,
    Connect,
    Hasty,
    Unhurried,
    address,
    served,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestReaders:
    @pytest.mark.promise("B5")
    @pytest.mark.heavy
    async def test_stalled_reader_is_disconnected(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(8 * SOON)

            with pytest.raises(ConnectionResetError):
                await client.answer()

    @pytest.mark.promise("B5")
    @pytest.mark.parametrize("request_line", ["GET /large", "GET /small"])
    @pytest.mark.parametrize("connection", ["keep-alive", "close"])
    async def test_reader_below_the_least_rate_is_disconnected(self, request_line: str, connection: str) -> None:
        """Also if the app has long gone on, and if the connection is closing."""
        async with slow_reader() as reader:
            await reader.request(f"{request_line} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n")
            reader.check()
            assert not reader.is_disconnected

            await reader.read(20_000)
            for _ in range(2):
                reader.check()
                assert not reader.is_disconnected

            reader.check()  # after 3072 seconds

            assert reader.is_disconnected
            with pytest.raises(ConnectionResetError):  # the kernel does not go on sending either
                await reader.read(LARGE)

    async def test_slow_reader_above_the_least_rate_gets_the_whole_response(self) -> None:
        async with slow_reader(buffer=1 << 16) as reader:
            await reader.request("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            left = LARGE
            while left > 0:
                reader.check()
                assert not reader.is_disconnected
                left -= await reader.read(min(left, LARGE // 10))

    @pytest.mark.parametrize("hits", [False, True])
    async def test_new_response_is_not_judged_by_an_earlier_response(self, *, hits: bool) -> None:
        async with slow_reader(hits=hits) as reader:
            for _ in range(3):
                await reader.request("GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
                reader.check()
                assert not reader.is_disconnected
                await reader.read_response()

            reader.check()
            assert not reader.is_disconnected
            assert reader.protocol._reader_timer is None  # there is nothing left to read

    async def test_unread_hits_do_not_fill_the_write_buffer(self) -> None:
        async with slow_reader(hits=True) as reader:
            await reader.request("GET /small HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
            for _ in range(20):
                await asyncio.sleep(0.001)
                assert reader.protocol.transport.get_write_buffer_size() < 3 * SMALL


class SlowReader:
    """A client with small buffers, and the server's side of its connection."""

    def __init__(self, client: socket.socket, protocol: Unhurried) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self.protocol = protocol

    async def request(self, head: str) -> None:
        """Sends a request and waits until the server has written what the buffers take."""
        await self._loop.sock_sendall(self._client, head.encode())
        while not self.protocol.transport.get_write_buffer_size():
            await asyncio.sleep(0.001)

    async def read(self, size: int) -> int:
        """Reads `size` bytes."""
        left = size
        while left:
            received = len(await self._loop.sock_recv(self._client, left))
            assert received, "the connection has ended in order"
            left -= received
        return size

    async def read_response(self) -> None:
        received = b""
        while len(received.partition(b"\r\n\r\n")[2]) < SMALL:
            received += await self._loop.sock_recv(self._client, 1 << 16)

    def check(self) -> None:
        """Lets `read_seconds` pass for the server."""
        assert self.protocol._reader_timer is not None
        self.protocol._reader_timer.cancel()
        self.protocol._check_reader()

    @property
    def is_disconnected(self) -> bool:
        """Whether the server closes the connection and has discarded what it has not sent."""
        return self.protocol.transport.is_closing() and not self.protocol.transport.get_write_buffer_size()


@asynccontextmanager
async def slow_reader(buffer: int = 4096, *, hits: bool = False) -> AsyncIterator[SlowReader]:
    async with served(Unhurried, App(hits=hits)) as server:
        server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, address(server))
            while not server.server_state.connections:
                await asyncio.sleep(0.001)
            [protocol] = server.server_state.connections
            assert isinstance(protocol, Unhurried)
            yield SlowReader(client, protocol)
