"""Bounds concurrent calls to a remote store: a limited number of threads, deadlines and a circuit breaker.

A thread cannot be stopped. So a call that passed its deadline keeps its slot until the driver's own time-outs end it;
otherwise a store that hangs would tie up ever more threads.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog

from proxy.errors import StoreUnavailable
from proxy.storage.circuit_breaker import CircuitBreaker
from proxy.storage.object_store import ObjectExists, ObjectNotFound
from proxy.telemetry import Metrics

log = structlog.get_logger()

T = TypeVar("T")

LATE = "The object store did not answer in time. Check its load and the network."


class Bulkhead:
    """Runs one kind of call, with its own slots and circuit breaker: reads may work while writes fail.

    Only an outage opens the circuit, never an answer about one object.

    `name`: label for metrics and logs. `slots`: concurrent calls.
    """

    def __init__(self, name: str, slots: int, metrics: Metrics) -> None:
        self._name = name
        self._slots = anyio.CapacityLimiter(slots)
        self._threads = anyio.CapacityLimiter(slots)  # never waited for: a call with a slot has a thread
        self._circuit = CircuitBreaker()
        self._was_open = False
        self._waiting: set[asyncio.Timeout] = set()
        self._errors = metrics.store_errors
        metrics.watch(metrics.store_circuit_open.labels(name), lambda: self._circuit.is_reported)

    async def run(self, operation: str, work: Callable[[], T], seconds: float) -> T:
        """Runs blocking `work` in a thread. Raises StoreUnavailable after `seconds`, or at once on an open circuit."""
        call = _Call(operation, self._circuit.admit())
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self._acquire_slot(call, deadline)
                working = asyncio.ensure_future(anyio.to_thread.run_sync(work, limiter=self._threads))
                working.add_done_callback(partial(self._on_done, call))
                return await asyncio.shield(working)
        except TimeoutError:
            late = StoreUnavailable(LATE, reason="timeout", is_outage=True)
            self._record_failure(call, late)
            raise late from None

    async def _acquire_slot(self, call: "_Call", deadline: asyncio.Timeout) -> None:
        self._waiting.add(deadline)
        try:
            await self._slots.acquire_on_behalf_of(call)
        finally:
            self._waiting.discard(deadline)
        call.started = True

    def _on_done(self, call: "_Call", working: "asyncio.Future[T]") -> None:
        """Frees the call's slot and counts its result. Runs for every started call, also after its caller timed out."""
        self._slots.release_on_behalf_of(call)
        error = None if working.cancelled() else working.exception()
        if isinstance(error, StoreUnavailable):
            self._record_failure(call, error)
        elif error is None or isinstance(error, (ObjectNotFound, ObjectExists)):
            self._on_answer()

    def _record_failure(self, call: "_Call", error: StoreUnavailable) -> None:
        """Counts a failed call once, at its deadline or its end. A call that got no slot does not open the circuit."""
        if call.failed:
            return
        call.failed = True
        self._errors.labels(call.operation, error.reason).inc()
        if not error.is_outage:
            self._on_answer()
        elif call.started:
            self._circuit.record_failure(call.admitted, str(error))
            self._on_circuit_change(str(error))

    def _on_answer(self) -> None:
        self._circuit.record_success()
        self._on_circuit_change()

    def _on_circuit_change(self, error: str | None = None) -> None:
        """Logs a state change; on opening, fails the calls that wait for a slot. `error`: what opened it."""
        if self._circuit.is_open == self._was_open:
            return
        self._was_open = self._circuit.is_open
        if not self._was_open:
            log.info("object store circuit closed", calls=self._name)
            return
        log.error("object store circuit opened", calls=self._name, error=error)
        now = asyncio.get_running_loop().time()
        for deadline in self._waiting:  # running calls get their own results
            if not deadline.expired():
                deadline.reschedule(now)


@dataclass(eq=False, slots=True)
class _Call:
    operation: str
    admitted: float
    started: bool = False
    failed: bool = False
