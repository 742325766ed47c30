"""Render processes: started ahead, killed when late, limited in memory, recycled, and replaced when they die.

Why not a library's pool: docs/decisions/0004-render-pool.md. Who gets one when: docs/decisions/0009-admission.md.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import anyio.to_thread
import structlog

from proxy.errors import DerivationTimeout, RenderFailed, TooHeavy
from proxy.imaging import vips
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.rendering.admission import Admission, Priority, Turn
from proxy.rendering.memory_estimate import estimate
from proxy.rendering.render_worker import RenderWorker
from proxy.settings import RENDER_IDLE_MB
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step

log = structlog.get_logger()


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
        self._max_estimate = min(room_mb, process_mb - RENDER_IDLE_MB) << 20
        # Who has waited for half of the deadline would only be told later that it was missed.
        self.admission = Admission(
            processes, room_mb << 20, max_waiting=max_waiting, patience=timeout / 2, metrics=self._metrics
        )
        self._idle: list[RenderWorker] = []
        self._busy: set[RenderWorker] = set()
        self._closed = False
        self._background: set[asyncio.Task[None]] = set()
        self._metrics.watch(self._metrics.waiting, lambda: self.admission.waiting)
        self._metrics.watch(self._metrics.render_charged_bytes, lambda: self.admission.reserved_bytes)
        self._metrics.watch(self._metrics.render_processes.labels("busy"), lambda: len(self._busy))
        self._metrics.watch(self._metrics.render_processes.labels("idle"), lambda: len(self._idle))

    async def start(self) -> None:
        """Has every process running and imported. Raises RenderFailed or DerivationTimeout where they cannot start."""

        async def start() -> None:
            self._idle.append(await self._start_worker())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._processes):
                    group.create_task(start())
        except BaseExceptionGroup as failures:
            await self.close()
            raise failures.exceptions[0] from None
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Leaves no process behind, also none that is at work."""
        self._closed = True
        for process in (*self._idle, *self._busy):
            self._later(process.stop())
        self._idle = []
        while self._background:
            await asyncio.wait(list(self._background))

    def raise_if_full(self, priority: Priority) -> None:
        """Raises Overloaded where `reserve_place` would."""
        self.admission.raise_if_full(priority)

    def reserve_place(self, priority: Priority) -> AbstractContextManager[None]:
        """Around fetching what a process is to work on: who does so has a place in the queue. Raises Overloaded."""
        return self.admission.reserve_place(priority)

    async def estimate_memory(self, path: Path, targets: Sequence[Target] = ()) -> int:
        """Bytes that `targets` of the picture at `path` are charged, or its inspection.

        What nobody can tell beforehand, or the child will refuse, is charged the most that one picture may take.
        Raises TooHeavy for more than that.
        """
        cost = await anyio.to_thread.run_sync(self._estimate, path, targets)  # a disk may be slow
        if cost > self._max_estimate:
            raise self._too_heavy(cost)
        return cost

    def _estimate(self, path: Path, targets: Sequence[Target]) -> int:
        header = read_header(path)
        if header is None or max(header.width, header.height) > self._limits.max_side:
            return self._max_estimate
        return estimate(header, path.stat().st_size, targets, by_vips=vips.is_installed())

    def _too_heavy(self, cost: int) -> TooHeavy:
        self._metrics.render_refusals.labels("too_heavy").inc()
        needed, allowed = -(-cost >> 20), self._max_estimate >> 20
        by_budget = allowed < self._process_mb - RENDER_IDLE_MB
        setting = f"RENDER_MEMORY_MB={self._memory_mb}" if by_budget else f"RENDER_PROCESS_MB={self._process_mb}"
        return TooHeavy(
            f"The picture takes about {needed} MB of memory, and {setting} leaves {allowed} MB for one. Scale it down."
        )

    @asynccontextmanager
    async def acquire(self, priority: Priority, memory: int) -> AsyncIterator[RenderWorker]:
        """A process to ask one thing of, and `memory` bytes for it.

        If the answer was not read to its end, the process is killed and replaced. Raises Overloaded, RenderFailed or
        DerivationTimeout.
        """
        with step("wait for admission"):
            turn = await self.admission.admit(priority, memory)
        try:
            process = self._take_idle() or await self._start_worker()
        except BaseException:
            self.admission.release(turn)
            raise
        self._busy.add(process)
        process.memory = memory
        try:
            yield process
        finally:
            self._busy.discard(process)
            if process.at_rest and process.requests < self._recycle and not self._closed:
                self._idle.append(process)
                self.admission.release(turn)
            else:
                if not process.gone:
                    process.kill()
                self._later(self._replace(process, turn))

    def _take_idle(self) -> RenderWorker | None:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            process.gone = True
            self._later(self._bury(process))  # killed while it had nothing to do; no picture is to blame
        return None

    async def _bury(self, process: RenderWorker) -> None:
        await process.stop()
        if not self._closed:
            self._metrics.render_ended.labels(process.why_ended).inc()

    async def _replace(self, process: RenderWorker, turn: Turn) -> None:
        """Its memory is free once it has ended, its slot once another has started: so the budget holds meanwhile."""
        try:
            await self._bury(process)
            if not self._closed:
                await self._start_another()
        finally:
            self.admission.release(turn)

    async def _start_another(self) -> None:
        try:
            process = await self._start_worker()
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

    async def _start_worker(self) -> RenderWorker:
        return await RenderWorker.start(self._limits, self._process_mb, self._timeout)
