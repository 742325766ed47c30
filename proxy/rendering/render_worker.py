"""One render process, and how to talk to it. What it does with what it is told: `child`."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

from proxy.errors import DerivationTimeout, RenderFailed
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured, Target
from proxy.rendering import protocol, sandbox

_START_TIMEOUT = 30  # seconds; importing Pillow takes a tenth of one, a starved machine may take long
_LAST_BREATH = 1.0  # seconds
# Ctrl-C in a terminal is for the server, which lets work in hand finish: so a process group of its own, before anything
# is imported. Not a session: Linux may share processors out by session, and niceness counts only within one.
_PROGRAM = ("-c", "import os; os.setpgrp(); from proxy.rendering.worker_main import main; main()")
_MAX_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One finished variant; `timings` are seconds by stage, `measured` is None where the quality was given."""

    index: int
    body: bytes
    timings: dict[str, float] = field(default_factory=dict)
    measured: Measured | None = None


class RenderWorker:
    """One child and the conversation with it: one request, then its answer to the end.

    Its methods raise what the child refuses (UnsupportedFormat, Undecodable, TooSmall, TooManyPixels),
    DerivationTimeout when a picture is not there in time, and RenderFailed when the child dies.
    """

    def __init__(self, child: asyncio.subprocess.Process, limits: Limits, timeout: float) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._process, self._stdin, self._stdout = child, child.stdin, child.stdout
        self._limits = limits
        self._timeout = timeout
        self.requests = 0
        self.at_rest = False
        self.gone = self._late = False
        self.memory = 0
        """Bytes that the next request may take."""

    @classmethod
    async def start(
        cls,
        limits: Limits,
        address_space_mb: int,
        timeout: float,
        *,
        program: Sequence[str] = _PROGRAM,
    ) -> "RenderWorker":
        """Returns once the child has imported what it needs. Raises RenderFailed, DerivationTimeout."""
        # -P: the working directory is no place to import from. env: a decoder needs no credentials.
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *program, str(address_space_mb)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=sandbox.ENVIRONMENT,
                limit=_MAX_LINE,
            )
        except OSError as error:
            raise RenderFailed("No render process could be started. Try again.") from error
        process = cls(child, limits, timeout)
        try:
            await process._receive(_START_TIMEOUT)
        except BaseException:
            process.kill()
            raise
        process.at_rest = True
        return process

    async def render(self, path: Path, targets: Sequence[Target]) -> AsyncGenerator[RenderedFile]:
        """Every target of the picture at `path`, each as soon as it is ready, in the order that shares most work."""
        await self._send(protocol.render_request(path, targets, self._limits, self.memory))
        while not (message := await self._receive(self._timeout)).get("done"):
            body = await self._read(self._stdout.readexactly(message["length"]), self._timeout)
            yield RenderedFile(message["index"], body, message["timings"], protocol.parse_measured(message))
        self.at_rest = True

    async def inspect(self, path: Path) -> Inspection:
        await self._send(protocol.inspect_request(path, self._limits, self.memory))
        inspection = Inspection(**await self._receive(self._timeout))
        await self._receive(self._timeout)
        self.at_rest = True
        return inspection

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Its pipes tell of its death before the event loop has heard of it."""
        return self._process.returncode is None and not self._stdin.is_closing() and not self._stdout.at_eof()

    @property
    def why_ended(self) -> str:
        """Once it has: what the metric calls it."""
        if self._late:
            return "deadline"
        if self.gone:
            return "killed" if self._process.returncode == -SIGKILL else "died"
        return "recycled" if self.at_rest else "abandoned"

    async def stop(self) -> None:
        """Returns when it has ended. What it had still to say is read first: asyncio waits for its pipe to be empty."""
        if self.gone:  # a signal sent into its death would hide what it died of
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BREATH):
                    await self._process.wait()
        self.kill()
        with contextlib.suppress(RuntimeError):  # somebody else is reading: then they find the end
            await self._stdout.read()
        await self._process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _send(self, message: protocol.Message) -> None:
        self.requests += 1
        self.at_rest = False
        try:
            self._stdin.write(protocol.pack(message))
            await self._stdin.drain()
        except ConnectionError as error:
            self.gone = True
            raise RenderFailed("The render process was gone. Try again.") from error

    async def _receive(self, timeout: float) -> dict[str, Any]:
        line = await self._read(self._stdout.readuntil(), timeout)
        try:
            message = protocol.unpack(line)
        except ValueError as error:
            raise RenderFailed("The render process answered nonsense.") from error
        if "refused" in message:
            await self._read(self._stdout.readuntil(), timeout)  # its `done`
            self.at_rest = True
            raise protocol.parse_refusal(message)
        return message

    async def _read(self, answer: Awaitable[bytes], timeout: float) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            self._late = True
            raise DerivationTimeout(f"The picture was not ready within {timeout:g} seconds.") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
            self.gone = True
            raise RenderFailed(
                "The picture broke its render process, or needs more memory than it may have."
            ) from error
