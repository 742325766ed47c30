"""The server's handle on one render worker process. The process itself runs `worker_main`."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from signal import SIGKILL, SIGSYS
from typing import Literal, TypeVar

import anyio.to_thread
import structlog
from pydantic import TypeAdapter

from proxy.errors import DerivationTimeout, RenderFailed
from proxy.imaging.containers import SNIFFED
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured, Target
from proxy.rendering import protocol
from proxy.rendering import worker_answers as answers
from proxy.rendering.printed_lines import log_printed
from proxy.rendering.worker_process import StartedProcess, has_ended, start_process, uninterrupted
from proxy.settings import SettingsError, WatermarkFile

log = structlog.get_logger()

_START_TIMEOUT = 120
"""Seconds. A start takes a second of processor time, and a busy machine gives little to a process of low priority: 30
were too few beside two processes that compute. Requests for variants have deadlines of their own."""
_EXIT_TIMEOUT = 1.0  # seconds, for the end of a process that has closed its socket, and for its last lines
_KILL_TIMEOUT = 10.0  # seconds; the kernel first frees memory, or finishes a read from a slow disk
# A process group of its own, before any import: Ctrl-C in a terminal goes to the server, which finishes its requests.
# Not a session: Linux may share processors out by session, and niceness counts only within one. SIGTERM, which systemd
# sends to all processes of a service, is the server's as well.
_DETACH = "import os, signal; os.setpgrp(); signal.signal(signal.SIGTERM, signal.SIG_IGN)"
_PROGRAM = ("-c", f"{_DETACH}; from proxy.rendering.worker_main import main; main()")
_REASONS = {-SIGKILL: "killed", -SIGSYS: "forbidden"}
NO_LOCK = (
    "This system cannot lock render processes: it needs Linux on x86-64 or aarch64 with seccomp. Set "
    "RENDER_SANDBOX=auto to run without the lock."
)

_Parsed = TypeVar("_Parsed")
Sandbox = Literal["required", "auto", "off"]


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One finished variant. `timings` are seconds by stage; `measured` is None if the quality was fixed."""

    index: int
    body: bytes
    timings: dict[str, float] = field(default_factory=dict)
    measured: Measured | None = None


class RenderWorker:
    """One render worker process, and the protocol with it: one request, then its whole answer.

    Requests raise the worker's refusals (UnsupportedFormat, Undecodable, TooSmall, TooManyPixels, TooHeavy),
    DerivationTimeout if an answer takes longer than `timeout` seconds, and RenderFailed if the process dies or sends
    anything that the protocol does not allow. After an error other than a refusal, the worker must be stopped.
    """

    def __init__(self, started: StartedProcess, *, limits: Limits, timeout: float) -> None:
        self._process, self._connection = started.process, started.connection
        self._reader, self._writer = started.answers
        printed, self._output = started.output
        self._log = asyncio.create_task(self._log_until_end(printed))
        self._limits = limits
        self._timeout = timeout
        self.requests = 0
        self.is_idle = False
        self.has_died = self._timed_out = self._sent_invalid = False
        self.locks: frozenset[str] = frozenset()
        """The mechanisms of the sandbox in force: `seccomp`, `landlock`."""
        self.memory = 0
        """Bytes that the next request may use."""

    @classmethod
    async def start(
        cls,
        limits: Limits,
        address_space_mb: int,
        timeout: float,
        *,
        sandbox: Sandbox = "auto",
        searches: bool = False,
        watermarks: Sequence[WatermarkFile] = (),
        program: Sequence[str] = _PROGRAM,
    ) -> "RenderWorker":
        """Starts a process and returns when it is ready. Raises SettingsError, RenderFailed, DerivationTimeout.

        `sandbox`: whether the process uses the sandbox, and whether a kernel without support is an error. `searches`:
        whether it can search for qualities, which takes 20 MB. `watermarks`: those that targets may name.
        """
        options = ["--unlocked"] * (sandbox == "off") + ["--searches"] * searches + ["--watermarks"] * bool(watermarks)
        files = protocol.watermarks_message([file.body for file in watermarks]) if watermarks else b""
        started = await start_process([*program, str(address_space_mb), *options], files)
        worker = cls(started, limits=limits, timeout=timeout)
        try:
            await worker._wait_until_ready(sandbox, watermarks)
        except BaseException:
            await worker.stop()
            raise
        return worker

    async def _wait_until_ready(self, sandbox: Sandbox, watermarks: Sequence[WatermarkFile]) -> None:
        try:
            ready = await self._receive(answers.READY, _START_TIMEOUT)
        except DerivationTimeout as error:
            raise DerivationTimeout(
                f"No render process was ready within {_START_TIMEOUT} seconds, as the machine is busy. Try again later."
            ) from error
        self.locks = frozenset(ready.locks)
        if sandbox == "required" and "seccomp" not in self.locks:
            raise SettingsError(NO_LOCK)
        if names := [file.name for file in watermarks if file.digest == ready.damaged]:
            raise SettingsError(f"The watermark {names[0]} cannot be decoded. Export the file again, as PNG or WebP.")
        self.is_idle = True

    async def render(
        self, path: Path, targets: Sequence[Target], accept: Callable[[int], Awaitable[bool]] | None = None
    ) -> AsyncGenerator[RenderedFile]:
        """Renders all targets of the original at `path`. Yields each when it is ready, in an order that shares work.

        `accept` is called with each index just before its target is rendered; if it returns False, the target is left
        out.
        """
        request = protocol.render_request(targets, self._limits, self.memory, asks=accept is not None)
        size, _ = await self._request(path, request)
        unasked = set(range(len(targets))) if accept else set()
        due = set() if accept else set(range(len(targets)))
        while True:
            said = await self._receive(answers.TO_RENDERING)
            match said:
                case answers.Next(next=index):
                    if due or index not in unasked or accept is None:
                        raise self._invalid("a question out of turn")
                    unasked.remove(index)
                    if accepted := await accept(index):
                        due.add(index)
                    self._send({"accepted": accepted})
                case answers.FileHead(index=index):
                    if index not in due:
                        raise self._invalid("a file that was not asked for")
                    due.remove(index)
                    body = await self._receive_body(said, targets[index], size)
                    yield RenderedFile(index, body, said.timings, said.measurement())
                case answers.Done():
                    if due or unasked:
                        raise self._invalid("fewer files than were asked for")
                    self.is_idle = True
                    return
                case answers.Refusal():
                    raise await self._refusal(said)

    async def inspect(self, path: Path) -> Inspection:
        """Inspects the original at `path`."""
        _, head = await self._request(path, protocol.inspect_request(self._limits, self.memory))
        said = await self._receive(answers.TO_INSPECTION)
        if isinstance(said, answers.Refusal):
            raise await self._refusal(said)
        with self._noting_invalid():
            inspection = answers.to_inspection(said, self._limits, head)
        await self._receive(answers.DONE)
        self.is_idle = True
        return inspection

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        # Its socket closes before the process has ended.
        return self._process.poll() is None and not self._reader.at_eof() and not self._writer.is_closing()

    @property
    def end_reason(self) -> str:
        """Returns why the process ended, as a label of `darkroom_render_ended_total`. Call it after the end."""
        if self._timed_out:
            return "deadline"
        if self._sent_invalid:
            return "invalid"
        if self.has_died:
            return _REASONS.get(self._process.returncode or 0, "died")
        return "recycled" if self.is_idle else "abandoned"

    async def stop(self) -> None:
        """Kills the process and returns when it has ended and its output is logged, also if cancelled meanwhile.

        Returns after some seconds if the process does not end, as when it waits for a disk that hangs.
        """
        try:
            await uninterrupted(self._end())
        finally:  # also if the event loop ends
            self.kill()
            self._log.cancel()
            self._output.close()

    async def _end(self) -> None:
        if self.has_died:  # a signal now would hide the reason of its death
            await has_ended(self._process, _EXIT_TIMEOUT)
        self.kill()
        if not await has_ended(self._process, _KILL_TIMEOUT):
            log.error("render process did not end", process=self.pid)
        await asyncio.wait([self._log], timeout=_EXIT_TIMEOUT)

    async def _log_until_end(self, printed: asyncio.StreamReader) -> None:
        await log_printed(printed, self.pid)
        await has_ended(self._process, None)  # leaves no zombie of a process that dies while it is idle

    def kill(self) -> None:
        """Kills the process, without waiting for its end."""
        self._process.kill()
        self._writer.close()

    async def _request(self, path: Path, request: protocol.Message) -> tuple[int, bytes]:
        """Sends a request with the open original. Returns the original's size and first bytes. Raises RenderFailed."""
        self.requests += 1
        try:
            opened, head = await anyio.to_thread.run_sync(_open, path)
        except OSError as error:  # the worker has not been asked yet, so it stays
            raise RenderFailed(f"The original could not be opened ({error.strerror}). Try again.") from error
        with opened as original:
            self._send(request, original.fileno())
            return os.fstat(original.fileno()).st_size, head

    def _send(self, message: protocol.Message, *descriptors: int) -> None:
        """Sends without waiting: the socket has room for many messages, and a sound worker has read all before."""
        self.is_idle = False
        line = protocol.encode_message(message)
        try:
            sent = socket.send_fds(self._connection, [line], descriptors)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.has_died = True
            raise RenderFailed("The render worker had ended. Try again.") from error
        if sent < len(line):
            raise self._invalid("no answer to earlier messages")

    async def _receive(self, expected: TypeAdapter[_Parsed], timeout: float | None = None) -> _Parsed:
        line = await self._read(self._reader.readuntil(), timeout)
        with self._noting_invalid():
            return answers.parse(line, expected)

    async def _receive_body(self, said: answers.FileHead, target: Target, original: int) -> bytes:
        with self._noting_invalid():
            answers.check_head(said, target, self._limits, original=original, memory=self.memory)
        body = await self._read(self._reader.readexactly(said.length))
        with self._noting_invalid():
            answers.check_body(body, target.format)
        return body

    async def _refusal(self, said: answers.Refusal) -> Exception:
        with self._noting_invalid():
            error = answers.to_error(said)
        await self._receive(answers.DONE)
        self.is_idle = True
        return error

    def _invalid(self, what: str) -> RenderFailed:
        self._sent_invalid = True
        return answers.invalid(what)

    @contextlib.contextmanager
    def _noting_invalid(self) -> Iterator[None]:
        try:
            yield
        except RenderFailed:
            self._sent_invalid = True
            raise

    async def _read(self, answer: Awaitable[bytes], timeout: float | None = None) -> bytes:
        timeout = timeout or self._timeout
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            self._timed_out = True
            raise DerivationTimeout(f"The image was not processed within {timeout:g} seconds.") from error
        except asyncio.LimitOverrunError as error:
            raise self._invalid("an endless line") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.has_died = True
            raise RenderFailed("The render worker ended: the image crashed it or needs too much memory.") from error


def _open(path: Path) -> tuple[FileIO, bytes]:
    """Opens the original and reads its first bytes, in a thread, because a disk may be slow."""
    file = FileIO(path)
    return file, os.pread(file.fileno(), SNIFFED, 0)
