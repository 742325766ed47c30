"""Connection limits, tested on a real uvicorn."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from starlette.types import Receive, Scope, Send

from proxy.web.bounded_http import HEAD_BYTES, HEAD_LINES, BoundedHttp

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
SOON = 0.4  # seconds
LARGE = 30 << 20
"""More bytes than the kernel buffers for a client that does not read."""
SMALL = 60_000
"""Fewer bytes than a transport buffers before it pauses the app."""
LEAST_RATE = 1024


class Hasty(BoundedHttp):
    head_seconds = SOON
    read_seconds = SOON


class Unhurried(BoundedHttp):
    """Its readers are checked by the tests, never by the clock."""

    read_seconds = 1024.0


class App:
    """Answers `ok` at once, or `LARGE` bytes to `/large`, `SMALL` bytes to `/small`, or to `/body` the number of bytes
    that were sent; `/events` never ends, `/pieces` has no length.
    """

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
async def served(protocol: type[BoundedHttp]) -> AsyncIterator[uvicorn.Server]:
    http: Any = partial(protocol, least_rate=LEAST_RATE)
    config = uvicorn.Config(App(), port=0, http=http, ws="none", lifespan="off", log_config=None)
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connected() -> AsyncIterator[Connect]:
    """Connects to a server with the default deadlines or to one with short ones."""
    async with served(BoundedHttp) as patient, served(Hasty) as hasty:

        @asynccontextmanager
        async def connect(protocol: type[BoundedHttp] = BoundedHttp) -> AsyncIterator[Client]:
            server = hasty if protocol is Hasty else patient
            client = Client(*await asyncio.open_connection(*address(server)))
            try:
                yield client
            finally:
                client.writer.close()

        yield connect


class TestHeads:
    @pytest.mark.promise("D5")
    @pytest.mark.heavy
    async def test_missing_head_closes_the_connection(self, connected: Connect) -> None:
        async def ends(sent: bytes) -> bool:
            async with connected(Hasty) as client:
                await client.send(sent)
                return await client.closed()

        assert await asyncio.gather(*map(ends, (b"", b"G", GET, b"\r\n\r\n", GET + b"X-Long: "))) == [True] * 5

    @pytest.mark.heavy
    async def test_slow_head_does_not_extend_the_deadline(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(GET + b"X-Long: ")
            assert await client.closed_while_dripping()

    @pytest.mark.heavy
    async def test_second_request_of_a_connection_has_the_same_head_deadline(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(GET + b"\r\n")
            assert await client.answer() == (200, b"ok")
            await client.send(GET)

            assert await client.closed()

    @pytest.mark.heavy
    async def test_idle_connection_and_blank_lines_between_requests_are_allowed(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(GET + b"\r\n\r\n\r\n")
            assert await client.answer() == (200, b"ok")
            await asyncio.sleep(1.5 * SOON)
            await client.send(GET + b"\r\n")
            assert await client.answer() == (200, b"ok")

    async def test_pipelined_requests_are_answered(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send((GET + b"\r\n") * 3)

            assert [await client.answer() for _ in range(3)] == [(200, b"ok")] * 3

    @pytest.mark.promise("D3")
    @pytest.mark.parametrize(
        "head",
        [
            GET + b"X-Long: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
            b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            GET + b"X: y\r\n" * HEAD_LINES + b"\r\n",
        ],
    )
    async def test_head_beyond_the_limits_is_431(self, connected: Connect, head: bytes) -> None:
        async with connected() as client:
            await client.send(head)

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
            assert await client.closed()

    @pytest.mark.parametrize(
        "head",
        [
            GET + b"X-Long: " + b"x" * (HEAD_BYTES - 20) + b"\r\n\r\n",
            GET + b"X: y\r\n" * (HEAD_LINES - 1) + b"\r\n",
        ],
    )
    async def test_head_within_the_limits_is_accepted_in_any_pieces(self, connected: Connect, head: bytes) -> None:
        async with connected() as client:
            for start in range(0, len(head), 1000):
                await client.send(head[start : start + 1000])

            assert await client.answer() == (200, b"ok")

    async def test_endless_head_is_cut_off(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(GET + b"X-Long: ")
            sent = 0
            while not client.reader.at_eof() and sent < 100 << 20:
                await client.send(b"x" * 10_000)
                await asyncio.sleep(0)
                sent += 10_000
                if client.reader._buffer:
                    break

            assert (await client.answer())[0] == 431
            assert sent < 10 << 20  # the kernel's buffers and 32 KiB

    @pytest.mark.parametrize("then", [GET + b"X-Long: " + b"x" * HEAD_BYTES * 20, b"nonsense\r\n\r\n"])
    async def test_bad_request_after_a_started_response_aborts_the_connection(
        self, connected: Connect, then: bytes
    ) -> None:
        async with connected() as client:
            await client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.reader.readuntil(b"event\r\n")
            for start in range(0, len(then), 1000):
                await client.send(then[start : start + 1000])

            with suppress(ConnectionError):
                assert await client.reader.read(1) == b""

    async def test_malformed_http_is_400(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03")

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (400, "bad_request")
            assert await client.closed()

    @pytest.mark.promise("D5")
    async def test_http_09_is_400_after_its_only_line(self, connected: Connect) -> None:
        for pieces in ([b"GET /\r\n"], [b"GET /\n"], [b"GET /", b"\r\n"]):
            async with connected() as client:
                for piece in pieces:
                    await client.send(piece)
                    await asyncio.sleep(0.01)

                assert (await client.answer())[0] == 400
                assert await client.closed()

    @pytest.mark.promise("D4")
    @pytest.mark.parametrize(
        "hosts",
        [
            [],
            ["a", "b"],
            ["a", "a"],
            [""],
            ["a b/<>"],
            ["a/b"],
            ["user@a"],
            ["a:b"],
            ["a:1:2"],
            ["[::1"],
            ["a\xe9"],
            ["http://a"],
        ],
    )
    async def test_missing_repeated_or_invalid_host_is_400(self, connected: Connect, hosts: list[str]) -> None:
        async with connected() as client:
            lines = ["GET / HTTP/1.1", *(f"Host: {host}" for host in hosts), "", ""]
            await client.send("\r\n".join(lines).encode("latin-1"))

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (400, "bad_request")
            assert "`Host`" in json.loads(body)["detail"]
            assert await client.closed()

    @pytest.mark.parametrize(
        "host", ["a", "a.test:8000", "A_b.test.", "127.0.0.1:80", "[::1]:8000", "xn--bcher-kva.test:"]
    )
    async def test_valid_host_is_accepted(self, connected: Connect, host: str) -> None:
        async with connected() as client:
            await client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

            assert await client.answer() == (200, b"ok")

    async def test_http_10_needs_no_host(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET / HTTP/1.0\r\n\r\n")

            assert await client.answer() == (200, b"ok")

    @pytest.mark.parametrize("garbage", [b"--BB\r\nfoo: bar\r\n\r\n", b"\0" * 100, b"GET / HTTP/2.0\r\n\r\n"])
    async def test_malformed_data_after_a_complete_request_does_not_affect_it(
        self, connected: Connect, garbage: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with connected() as client:
            await client.send(GET + b"\r\n" + garbage)

            assert await client.answer() == (200, b"ok")
            assert await client.closed()
        assert "Traceback" not in caplog.text

    async def test_malformed_body_disconnects_the_app(
        self, connected: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with connected() as client:
            await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")

            assert (await client.answer())[0] == 400
            assert await client.closed()
        assert "Traceback" not in caplog.text


class TestHttp10:
    async def test_response_without_a_length_ends_with_the_connection(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

            head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")
            assert body == b"onetwo"
            assert b"transfer-encoding" not in head.lower()
            assert b"connection: close" in head.lower()

    async def test_response_without_a_length_is_chunked_in_http_11(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

            assert (await client.reader.read()).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    async def test_response_with_a_length_has_it(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET / HTTP/1.0\r\n\r\n")

            assert await client.answer() == (200, b"ok")
            assert await client.closed()


class TestBodies:
    @pytest.mark.heavy
    async def test_unfinished_body_after_the_response_closes_the_connection(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(POST + b"Content-Length: 1000\r\n\r\nx")
            assert await client.answer() == (200, b"ok")
            assert await client.closed_while_dripping()

    @pytest.mark.heavy
    async def test_body_that_ends_after_the_response_keeps_the_connection(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(POST + b"Content-Length: 2\r\n\r\nx")
            assert await client.answer() == (200, b"ok")
            await client.send(b"y")
            await asyncio.sleep(1.5 * SOON)
            await client.send(GET + b"\r\n")
            assert await client.answer() == (200, b"ok")

    @pytest.mark.heavy
    async def test_body_being_read_has_no_head_deadline(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
            for _ in range(3):
                await asyncio.sleep(SOON / 2)
                await client.send(b"x")

            assert await client.answer() == (200, b"3")

    @pytest.mark.heavy
    async def test_large_body_is_not_counted_as_head(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE))

            assert await client.answer() == (200, str(LARGE).encode())


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

    async def test_response_that_has_just_begun_is_not_judged_by_an_earlier_one(self) -> None:
        async with slow_reader() as reader:
            for _ in range(3):
                await reader.request("GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
                reader.check()
                assert not reader.is_disconnected
                await reader.read_response()

            reader.check()
            assert not reader.is_disconnected
            assert reader.protocol._reader_timer is None  # there is nothing left to read


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
async def slow_reader(buffer: int = 4096) -> AsyncIterator[SlowReader]:
    async with served(Unhurried) as server:
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
