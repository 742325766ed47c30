"""A TCP proxy that breaks what passes through it, as it is told, while it runs: before S3, Redis and Postgres.

`with Link(port) as link: link.break_(stall=True); …; link.heal()`. It runs in a thread of its own, so that a test may
wait for the program behind it.
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
_STEP = 0.05  # seconds between looks whether a stall is over


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What befalls connections, those that there are and new ones. The default: nothing."""

    delay: float = 0.0
    """Seconds before each piece is passed on, either way."""
    bandwidth: int = 0
    """Bytes a second of the answers; 0 for all there is."""
    stall: bool = False
    """Everything is accepted, and nothing passed on."""
    reset: bool = False
    """A connection is reset as soon as something is sent on it."""
    refuse: bool = False
    """Refuses new connections and resets open ones."""
    half_close: bool = False
    """The answering side is closed at once; the asking side is still read."""
    cut_after: int | None = None
    """So many bytes of the answers pass on each connection, then it is reset."""


class Link:
    """Listens on `port` of loopback, always the same one, and passes on to `target`."""

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
        """Passes on both ways until both sides have ended; `first` was read already."""
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
                await asyncio.sleep(_STEP)  # a reset overtakes what the other side has not read yet
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
    """The same for HTTP, which it reads: `answer` may answer a request in place of the store, by method and path."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.answer: Callable[[str, str], bytes | None] = lambda _method, _path: None

    def heal(self) -> None:
        self.answer = lambda _method, _path: None
        super().heal()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for each connection, so that every one is seen."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        method, path, _ = line.decode().split(" ", 2)
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
    """RST in place of FIN, and what was not sent yet is lost."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):  # closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
