"""Render processes: started ahead, killed when late, limited in memory, recycled, and replaced when they die.

Why not a library's pool: docs/decisions/0004-render-pool.md. Who gets one when: docs/decisions/0009-admission.md.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

import anyio.to_thread
import structlog

from proxy.errors import DerivationTimeout, RenderFailed, TooHeavy
from proxy.imaging import memory, vips, wire
from proxy.imaging.admission import Admission, Priority, Turn
from proxy.imaging.cost import estimate
from proxy.imaging.header import read_header
from proxy.imaging.inspect import Inspection
from proxy.imaging.probe import Limits
from proxy.imaging.target import Measured, Target
from proxy.settings import RENDER_IDLE_MB
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step

log = structlog.get_logger()

_START_TIMEOUT = 30  # seconds; importing Pillow takes a tenth of one, a starved machine may take long
_LAST_BREATH = 1.0  # seconds
_PROGRAM = ("-m", "proxy.imaging.child")
_MAX_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One finished variant; `timings` are seconds by stage, `measured` is None where the quality was given."""

    index: int
    body: bytes
    timings: dict[str, float] = field(default_factory=dict)
    measured: Measured | None = None


class RenderPool:
    """`processes` children. Every picture must come within `timeout` seconds of the last.

    All of them together hold at most `memory_mb` MiB, idle ones too; each has `process_mb` MiB of address space.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        processes: int,
        memory_mb: int,
        process_mb: int,
        timeout: float,
        max_waiting: int,
        recycle: int = 500,
        metrics: Metrics | None = None,
    ) -> None:
        self._limits = limits
        self._processes = processes
        self._memory_mb = memory_mb
        self._process_mb = process_mb
        self._timeout = timeout
        self._recycle = recycle
        self._metrics = metrics or Metrics()
        room_mb = memory_mb - processes * RENDER_IDLE_MB
        self._most = min(room_mb, process_mb - RENDER_IDLE_MB) << 20
        # Who has waited for half of the deadline would only be told later that it was missed.
        self.admission = Admission(
            processes, room_mb << 20, max_waiting=max_waiting, patience=timeout / 2, metrics=self._metrics
        )
        self._idle: list[RenderProcess] = []
        self._busy: set[RenderProcess] = set()
        self._closed = False
        self._background: set[asyncio.Task[None]] = set()
        self._metrics.watch(self._metrics.waiting, lambda: self.admission.waiting)
        self._metrics.watch(self._metrics.render_charged_bytes, lambda: self.admission.charged)
        self._metrics.watch(self._metrics.render_processes.labels("busy"), lambda: len(self._busy))
        self._metrics.watch(self._metrics.render_processes.labels("idle"), lambda: len(self._idle))

    async def start(self) -> None:
        """Has every process running and imported. Raises RenderFailed where they cannot start."""
        self._idle = await asyncio.gather(*(self._start_process() for _ in range(self._processes)))

    async def close(self) -> None:
        """Leaves no process behind, also none that is at work."""
        self._closed = True
        for process in (*self._idle, *self._busy):
            self._later(process.stop())
        self._idle = []
        while self._background:
            await asyncio.wait(list(self._background))

    def coming(self, priority: Priority) -> AbstractContextManager[None]:
        """Around fetching what a process is to work on: who does so has a place in the queue. Raises Overloaded."""
        return self.admission.coming(priority)

    async def cost(self, path: Path, targets: Sequence[Target] = ()) -> int:
        """Bytes that `targets` of the picture at `path` are charged, or its inspection.

        What nobody can tell beforehand, or the child will refuse, is charged the most that one picture may take.
        Raises TooHeavy for more than that.
        """
        cost = await anyio.to_thread.run_sync(self._estimate, path, targets)  # a disk may be slow
        if cost > self._most:
            raise self._too_heavy(cost)
        return cost

    def _estimate(self, path: Path, targets: Sequence[Target]) -> int:
        header = read_header(path)
        if header is None or max(header.width, header.height) > self._limits.max_side:
            return self._most
        return estimate(header, path.stat().st_size, targets, by_vips=bool(vips.installed()))

    def _too_heavy(self, cost: int) -> TooHeavy:
        self._metrics.render_refusals.labels("too_heavy").inc()
        needed, allowed = -(-cost >> 20), self._most >> 20
        by_budget = allowed < self._process_mb - RENDER_IDLE_MB
        setting = f"RENDER_MEMORY_MB={self._memory_mb}" if by_budget else f"RENDER_PROCESS_MB={self._process_mb}"
        return TooHeavy(
            f"The picture takes about {needed} MB of memory, and {setting} leaves {allowed} MB for one. Scale it down."
        )

    @asynccontextmanager
    async def process(self, priority: Priority, cost: int) -> AsyncIterator["RenderProcess"]:
        """A process to ask one thing of, and `cost` bytes for it.

        If the answer was not read to its end, the process is killed and replaced. Raises Overloaded, RenderFailed or
        DerivationTimeout.
        """
        with step("wait for admission"):
            turn = await self.admission.enter(priority, cost)
        try:
            process = self._take_idle() or await self._start_process()
        except BaseException:
            self.admission.leave(turn)
            raise
        self._busy.add(process)
        process.memory = cost
        try:
            yield process
        finally:
            self._busy.discard(process)
            if process.at_rest and process.requests < self._recycle and not self._closed:
                self._idle.append(process)
                self.admission.leave(turn)
            else:
                if not process.gone:
                    process.kill()
                self._later(self._replace(process, turn))

    def _take_idle(self) -> "RenderProcess | None":
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            process.gone = True
            self._later(self._bury(process))  # killed while it had nothing to do; no picture is to blame
        return None

    async def _bury(self, process: "RenderProcess") -> None:
        await process.stop()
        if not self._closed:
            self._metrics.render_ended.labels(process.why_ended).inc()

    async def _replace(self, process: "RenderProcess", turn: Turn) -> None:
        """Its memory is free once it has ended, its slot once another has started: so the budget holds meanwhile."""
        try:
            await self._bury(process)
            if not self._closed:
                await self._start_another()
        finally:
            self.admission.leave(turn)

    async def _start_another(self) -> None:
        try:
            process = await self._start_process()
        except (RenderFailed, DerivationTimeout) as error:  # the next request tries again and reports it
            log.error("render process did not start", error=str(error))
            return
        if self._closed:
            await process.stop()
        else:
            self._idle.append(process)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _start_process(self) -> "RenderProcess":
        return await RenderProcess.start(self._limits, self._process_mb, self._timeout)


class RenderProcess:
    """One child and the conversation with it: one request, then its answer to the end.

    Its methods raise what the child refuses (UnsupportedFormat, Undecodable, TooSmall, TooManyPixels),
    DerivationTimeout when a picture is not there in time, and RenderFailed when the child dies.
    """

    def __init__(self, child: asyncio.subprocess.Process, limits: Limits, timeout: float) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._child, self._stdin, self._stdout = child, child.stdin, child.stdout
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
        program: Sequence[str] = ("-m", "proxy.imaging.child"),
    ) -> "RenderProcess":
        """Returns once the child has imported what it needs. Raises RenderFailed, DerivationTimeout."""
        # -P: the working directory is no place to import from. env: a decoder needs no credentials.
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *program, str(address_space_mb)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=memory.ENVIRONMENT,
                limit=_MAX_LINE,
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which lets work in hand finish
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
        await self._send(wire.render_request(path, targets, self._limits, self.memory))
        while not (message := await self._receive(self._timeout)).get("done"):
            body = await self._read(self._stdout.readexactly(message["length"]), self._timeout)
            yield RenderedFile(message["index"], body, message["timings"], wire.parse_measured(message))
        self.at_rest = True

    async def inspect(self, path: Path) -> Inspection:
        await self._send(wire.inspect_request(path, self._limits, self.memory))
        inspection = Inspection(**await self._receive(self._timeout))
        await self._receive(self._timeout)
        self.at_rest = True
        return inspection

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Its pipes tell of its death before the event loop has heard of it."""
        return self._child.returncode is None and not self._stdin.is_closing() and not self._stdout.at_eof()

    @property
    def why_ended(self) -> str:
        """Once it has: what the metric calls it."""
        if self._late:
            return "deadline"
        if self.gone:
            return "killed" if self._child.returncode == -SIGKILL else "died"
        return "recycled" if self.at_rest else "abandoned"

    async def stop(self) -> None:
        """Returns when it has ended. What it had still to say is read first: asyncio waits for its pipe to be empty."""
        if self.gone:  # a signal sent into its death would hide what it died of
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BREATH):
                    await self._child.wait()
        self.kill()
        with contextlib.suppress(RuntimeError):  # somebody else is reading: then they find the end
            await self._stdout.read()
        await self._child.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def _send(self, message: wire.Message) -> None:
        self.requests += 1
        self.at_rest = False
        try:
            self._stdin.write(wire.pack(message))
            await self._stdin.drain()
        except ConnectionError as error:
            self.gone = True
            raise RenderFailed("The render process was gone. Try again.") from error

    async def _receive(self, timeout: float) -> dict[str, Any]:
        line = await self._read(self._stdout.readuntil(), timeout)
        try:
            message = wire.unpack(line)
        except ValueError as error:
            raise RenderFailed("The render process answered nonsense.") from error
        if "refused" in message:
            await self._read(self._stdout.readuntil(), timeout)  # its `done`
            self.at_rest = True
            raise wire.parse_refusal(message)
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
