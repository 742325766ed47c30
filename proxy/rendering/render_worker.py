"""The server's handle on one render worker process. The process itself runs `worker_main`."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

from proxy.errors import DerivationTimeout, RenderFailed
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured, Target
from proxy.rendering import protocol, sandbox

_START_TIMEOUT = 30  # seconds; importing Pillow takes 0.1, but a starved machine may need far longer
_EXIT_TIMEOUT = 1.0  # seconds
# A process group of its own, before any import: Ctrl-C in a terminal goes to the server, which finishes its requests.
# Not a session: Linux may share processors out by session, and niceness counts only within one.
_PROGRAM = ("-c", "import os; os.setpgrp(); from proxy.rendering.worker_main import main; main()")
_MAX_LINE = 64 * 1024


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
    DerivationTimeout if an answer takes longer than `timeout` seconds, and RenderFailed if the process dies.
    """

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits, timeout: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self._limits = limits
        self._timeout = timeout
        self.requests = 0
        self.is_idle = False
        self.has_died = self._timed_out = False
        self.memory = 0
        """Bytes that the next request may use."""

    @classmethod
    async def start(
        cls,
        limits: Limits,
        address_space_mb: int,
        timeout: float,
        *,
        program: Sequence[str] = _PROGRAM,
    ) -> "RenderWorker":
        """Starts a process and returns when its imports are done. Raises RenderFailed, DerivationTimeout."""
        # -P: never import from the working directory. env: a decoder needs no credentials.
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *program, str(address_space_mb)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=sandbox.ENVIRONMENT,
                limit=_MAX_LINE,
            )
        except OSError as error:
            raise RenderFailed("No render worker could be started. Try again.") from error
        worker = cls(process, limits, timeout)
        try:
            await worker._receive(_START_TIMEOUT)
        except BaseException:
            worker.kill()
            raise
        worker.is_idle = True
        return worker

    async def render(
        self, path: Path, targets: Sequence[Target], accept: Callable[[int], Awaitable[bool]] | None = None
    ) -> AsyncGenerator[RenderedFile]:
        """Renders all targets of the original at `path`. Yields each when it is ready, in an order that shares work.

        `accept` is asked for each index directly before it is rendered. Those that it declines are left out.
        """
        self.requests += 1
        await self._send(protocol.render_request(path, targets, self._limits, self.memory, asks=accept is not None))
        while not (message := await self._receive(self._timeout)).get("done"):
            if accept and "next" in message:
                await self._send({"accepted": await accept(message["next"])})
                continue
            body = await self._read(self._stdout.readexactly(message["length"]), self._timeout)
            yield RenderedFile(message["index"], body, message["timings"], protocol.parse_measured(message))
        self.is_idle = True

    async def inspect(self, path: Path) -> Inspection:
        self.requests += 1
        await self._send(protocol.inspect_request(path, self._limits, self.memory))
        inspection = Inspection(**await self._receive(self._timeout))
        await self._receive(self._timeout)
        self.is_idle = True
        return inspection

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        # Its pipes close before the event loop has reaped the process.
        return self._process.returncode is None and not self._stdin.is_closing() and not self._stdout.at_eof()

    @property
    def end_reason(self) -> str:
        """Why the process ended, as the metric's label. Call it after the end."""
        if self._timed_out:
            return "deadline"
        if self.has_died:
            return "killed" if self._process.returncode == -SIGKILL else "died"
        return "recycled" if self.is_idle else "abandoned"

    async def stop(self) -> None:
        """Kills the process and returns when it has ended. Drains its output first: asyncio waits for an empty pipe."""
        if self.has_died:  # a signal now would hide the reason of its death
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_TIMEOUT):
                    await self._process.wait()
        self.kill()
        with contextlib.suppress(RuntimeError):  # another task reads the pipe, and will reach its end
            await self._stdout.read()
        await self._process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _send(self, message: protocol.Message) -> None:
        self.is_idle = False
        try:
            self._stdin.write(protocol.encode_message(message))
            await self._stdin.drain()
        except ConnectionError as error:
            self.has_died = True
            raise RenderFailed("The render worker had ended. Try again.") from error

    async def _receive(self, timeout: float) -> dict[str, Any]:
        line = await self._read(self._stdout.readuntil(), timeout)
        try:
            message = protocol.decode_message(line)
        except ValueError as error:
            raise RenderFailed("The render worker sent an invalid message.") from error
        if "refused" in message:
            await self._read(self._stdout.readuntil(), timeout)  # its `done`
            self.is_idle = True
            raise protocol.parse_refusal(message)
        return message

    async def _read(self, answer: Awaitable[bytes], timeout: float) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            self._timed_out = True
            raise DerivationTimeout(f"The image was not processed within {timeout:g} seconds.") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
            self.has_died = True
            raise RenderFailed("The render worker ended: the image crashed it or needs too much memory.") from error
