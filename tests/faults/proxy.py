"""A TCP proxy in front of S3, Redis and Postgres that injects faults.

`with Link(port) as link: link.break_(stall=True); …; link.heal()`. It runs in its own thread, so that tests may block
while they wait for a program behind it.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

_CHUNK = 16 * 1024
_STEP = 0.05  # seconds between checks whether a stall is over


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of all connections, open and new. The default: none."""

    delay: float = 0.0
    """Seconds before each chunk is forwarded, in both directions."""
    bandwidth: int = 0
    """Bytes a second of responses; 0 is unlimited."""
    stall: bool = False
    """Accepts all data and forwards none."""
    reset: bool = False
    """Resets a connection at the first byte that is sent on it."""
    refuse: bool = False
    """Refuses new connections and resets open ones."""
    half_close: bool = False
    """Closes the response's direction at once, and still reads requests."""
    cut_after: int | None = None
    """Resets each connection after this many bytes of responses."""


class Link:
    """Listens on a `port` of loopback that never changes, and forwards to `target`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = Fault()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def break_(self, **fault: Any) -> None:
        self._run(self._apply(Fault(**fault)))

    def heal(self) -> None:
        self._run(self._apply(Fault()))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _apply(self, fault: Fault) -> None:
        self._fault = fault
        if fault.refuse:
            await self._deafen()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in [*self._writers]:
            reset(writer)

    async def _close(self) -> None:
        await self._deafen()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            reset(writer)
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._connect(reader, writer, b"")

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        """Forwards both directions until both have ended. `first` has been read already."""
        target_reader, target = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(target)
        try:
            ask = asyncio.create_task(self._ask(reader, writer, target, first))
            answer = asyncio.create_task(self._answer(target_reader, writer))
            try:
                await asyncio.gather(ask, answer)
            finally:
                ask.cancel()
                answer.cancel()
        finally:
            self._writers.discard(target)
            target.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: asyncio.StreamWriter, first: bytes
    ) -> None:
        data = first or await reader.read(_CHUNK)
        while data:
            if self._fault.reset:
                raise ConnectionResetError
            if self._fault.half_close:
                writer.write_eof()
            else:
                await self._hold()
                target.write(data)
                await target.drain()
            data = await reader.read(_CHUNK)
        with suppress(OSError):
            target.write_eof()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(_CHUNK):
            await self._hold()
            if self._fault.reset:
                raise ConnectionResetError
            limit = self._fault.cut_after
            if limit is not None and passed + len(data) > limit:
                writer.write(data[: max(0, limit - passed)])
                await writer.drain()
                await asyncio.sleep(_STEP)  # a reset discards what the other side has not read yet
                raise ConnectionResetError
            if self._fault.bandwidth:
                await asyncio.sleep(len(data) / self._fault.bandwidth)
            writer.write(data)
            await writer.drain()
            passed += len(data)
        with suppress(OSError):
            writer.write_eof()

    async def _hold(self) -> None:
        await asyncio.sleep(self._fault.delay)
        while self._fault.stall:
            await asyncio.sleep(_STEP)


class S3Link(Link):
    """A Link that parses HTTP: `answer` may respond to a request instead of the store, by method and path.

    Requests for which `holds` returns True wait until it returns False.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.answer: Callable[[str, str], bytes | None] = lambda _method, _path: None
        self.holds: Callable[[str, str], bool] = lambda _method, _path: False

    def heal(self) -> None:
        self.answer = lambda _method, _path: None
        self.holds = lambda _method, _path: False
        super().heal()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one request per connection, so that `answer` sees every request."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        method, path, _ = line.decode().split(" ", 2)
        while self.holds(method, path):
            await asyncio.sleep(_STEP)
        if (reply := self.answer(method, path)) is None:
            await self._connect(reader, writer, line + b"\r\nConnection: close\r\n" + fields)
            return
        lengths = [
            int(field.split(b":")[1]) for field in fields.lower().split(b"\r\n") if field.startswith(b"content-length:")
        ]
        if b"100-continue" not in fields:
            await reader.readexactly(sum(lengths))
        writer.write(reply)
        await writer.drain()


def s3_error(status: int, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>fault</Message></Error>".encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Sends RST instead of FIN; data that is not sent yet is lost."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):  # closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
