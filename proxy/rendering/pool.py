"""A pool of render workers: started ahead, killed past a deadline, limited in memory, recycled, replaced when they die.

Why not a library's pool: docs/decisions/0004-render-pool.md. Order of admission: docs/decisions/0009-admission.md.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import anyio.to_thread
import structlog

from proxy.errors import DerivationTimeout, RenderFailed, TooHeavy
from proxy.imaging import vips
from proxy.imaging.animation.animation_limits import count_frames
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.rendering.admission import Admission, AdmissionRequest, Priority
from proxy.rendering.memory_estimate import estimate
from proxy.rendering.render_worker import RenderWorker, Sandbox
from proxy.settings import RENDER_IDLE_MB, SettingsError, WatermarkFile
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step

log = structlog.get_logger()


def most_bytes(memory_mb: int, processes: int, process_mb: int) -> int:
    """Returns the most bytes that one request may reserve, by the memory of all processes and of one."""
    return min(memory_mb - processes * RENDER_IDLE_MB, process_mb - RENDER_IDLE_MB) << 20


class RenderPool:
    """Runs `processes` render workers. Each variant must be ready `timeout` seconds after the one before it.

    All workers together, idle ones included, hold at most `memory_mb` MiB; each has `process_mb` MiB of address space.
    A worker is replaced after `recycle` requests, each for one original. At most `max_waiting` live requests wait.
    `sandbox`, `searches`, `watermarks`: as in `RenderWorker.start`.
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
        recycle: int = 100,
        sandbox: Sandbox = "auto",
        searches: bool = False,
        watermarks: Sequence[WatermarkFile] = (),
        metrics: Metrics | None = None,
    ) -> None:
        self._limits = limits
        self._processes = processes
        self._memory_mb = memory_mb
        self._process_mb = process_mb
        self._timeout = timeout
        self._recycle = recycle
        self._sandbox: Sandbox = sandbox
        self._searches = searches
        self._watermarks = watermarks
        self._metrics = metrics or Metrics()
        budget_mb = memory_mb - processes * RENDER_IDLE_MB
        self._max_estimate = most_bytes(memory_mb, processes, process_mb)
        # A request that has waited for half of its deadline would probably miss it.
        self.admission = Admission(
            processes, budget_mb << 20, max_waiting=max_waiting, max_wait=timeout / 2, metrics=self._metrics
        )
        self._idle: list[RenderWorker] = []
        self._busy: set[RenderWorker] = set()
        self._closed = False
        self._background: set[asyncio.Task[None]] = set()
        self._metrics.watch(self._metrics.waiting, lambda: self.admission.waiting)
        self._metrics.watch(self._metrics.render_reserved_bytes, lambda: self.admission.reserved_bytes)
        self._metrics.watch(self._metrics.render_processes.labels("busy"), lambda: len(self._busy))
        self._metrics.watch(self._metrics.render_processes.labels("idle"), lambda: len(self._idle))

    async def start(self) -> None:
        """Returns when all workers are ready.

        Raises SettingsError, RenderFailed or DerivationTimeout, and leaves none behind.
        """

        async def start_one() -> None:
            self._idle.append(await self._start_worker())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._processes):
                    group.create_task(start_one())
        except BaseExceptionGroup as failures:
            await self.close()
            raise failures.exceptions[0] from None
        except asyncio.CancelledError:
            await self.close()
            raise
        if self._sandbox == "auto" and not all("seccomp" in worker.locks for worker in self._idle):
            log.warning("render processes run without sandbox", reason="no seccomp on this system; see RENDER_SANDBOX")

    async def close(self) -> None:
        """Stops all workers, busy ones too, and waits for their end."""
        self._closed = True
        for worker in (*self._idle, *self._busy):
            worker.kill()  # at once: an event loop that ends cancels tasks that have not begun
            self._run_in_background(worker.stop())
        self._idle = []
        while self._background:
            await asyncio.wait(list(self._background))

    @property
    def has_live_waiting(self) -> bool:
        """Whether a live request waits for a worker. Background work should then give its worker back."""
        return self.admission.has_live_waiting

    def raise_if_full(self, priority: Priority) -> None:
        """Raises Overloaded if the queue for `priority` is full."""
        self.admission.raise_if_full(priority)

    def reserve_place(self, priority: Priority) -> AbstractContextManager[None]:
        """Holds a place in the queue while the caller fetches the original. Raises Overloaded."""
        return self.admission.reserve_place(priority)

    async def estimate_memory(self, path: Path, targets: Sequence[Target] = ()) -> int:
        """Estimates the bytes of memory for rendering `targets` of the original at `path`, or for its inspection.

        Returns the most that one request may reserve if the header cannot be read, or if the worker will refuse the
        image. Raises TooHeavy if the estimate exceeds that.
        """
        memory = await anyio.to_thread.run_sync(self._estimate, path, targets)  # a disk may be slow
        if memory > self._max_estimate:
            raise self._too_heavy(memory)
        return memory

    def _estimate(self, path: Path, targets: Sequence[Target]) -> int:
        header = read_header(path)
        if header is None or max(header.width, header.height) > self._limits.max_side:
            return self._max_estimate
        frames = count_frames(path) if any(target.animated for target in targets) else 1
        return estimate(header, path.stat().st_size, targets, by_vips=vips.is_installed(), frames=frames)

    def _too_heavy(self, memory: int) -> TooHeavy:
        self._metrics.render_refusals.labels("too_heavy").inc()
        needed, allowed = -(-memory >> 20), self._max_estimate >> 20
        by_budget = allowed < self._process_mb - RENDER_IDLE_MB
        setting = f"RENDER_MEMORY_MB={self._memory_mb}" if by_budget else f"RENDER_PROCESS_MB={self._process_mb}"
        return TooHeavy(
            f"The image needs about {needed} MB of memory, and {setting} leaves {allowed} MB for one. Scale it down."
        )

    @asynccontextmanager
    async def acquire(self, priority: Priority, memory: int) -> AsyncIterator[RenderWorker]:
        """Yields a worker for one request, with `memory` bytes reserved for it.

        Kills and replaces the worker if the caller did not read its whole answer. Raises Overloaded, RenderFailed or
        DerivationTimeout.
        """
        with step("wait for admission"):
            request = await self.admission.admit(priority, memory)
        try:
            worker = self._pop_idle() or await self._start_another()
        except BaseException:
            self.admission.release(request)
            raise
        self._busy.add(worker)
        worker.memory = memory
        try:
            yield worker
        finally:
            self._busy.discard(worker)
            if worker.is_idle and worker.requests < self._recycle and not self._closed:
                self._idle.append(worker)
                self.admission.release(request)
            else:
                if not worker.has_died:
                    worker.kill()
                self._run_in_background(self._replace(worker, request))

    def _pop_idle(self) -> RenderWorker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            worker.has_died = True
            self._run_in_background(self._stop(worker))  # it died while idle, so no request fails
        return None

    async def _stop(self, worker: RenderWorker) -> None:
        await worker.stop()
        if not self._closed:
            self._metrics.render_ended.labels(worker.end_reason).inc()
            if worker.end_reason in ("invalid", "forbidden"):
                log.error("render process may have been taken over", reason=worker.end_reason, process=worker.pid)

    async def _replace(self, worker: RenderWorker, request: AdmissionRequest) -> None:
        """Replaces a worker. Releases `request` only when the new worker is ready, to stay within the memory budget."""
        try:
            await self._stop(worker)
            if not self._closed:
                await self._add_worker()
        finally:
            self.admission.release(request)

    async def _add_worker(self) -> None:
        try:
            worker = await self._start_another()
        except (RenderFailed, DerivationTimeout) as error:  # the next request tries again and reports the error
            log.error("render process not started, the next request tries again", error=str(error))
            return
        if self._closed:
            await worker.stop()
        else:
            self._idle.append(worker)

    def _run_in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _start_another(self) -> RenderWorker:
        try:
            return await self._start_worker()
        except SettingsError as error:  # the settings were right for the first processes: this one is at fault
            raise RenderFailed(str(error)) from error

    async def _start_worker(self) -> RenderWorker:
        return await RenderWorker.start(
            self._limits,
            self._process_mb,
            self._timeout,
            sandbox=self._sandbox,
            searches=self._searches,
            watermarks=self._watermarks,
        )
