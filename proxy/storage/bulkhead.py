"""Calls to a store over the network: in threads, so many at a time, each with a deadline, and none while it is away.

A thread cannot be stopped, so a call that is given up keeps its place until its driver's own time-outs end it. Without
that, a store that says nothing would be waited for by ever more threads.
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

LATE = "The object store did not answer in time: look at its load and at the network in between."


class Bulkhead:
    """One kind of call, with a circuit and places of its own: a store that takes nothing may still give.

    `name` is for metrics and logs.
    """

    def __init__(self, name: str, places: int, metrics: Metrics) -> None:
        self._name = name
        self._places = anyio.CapacityLimiter(places)
        self._threads = anyio.CapacityLimiter(places)  # never waited for: who has a place has a thread
        self._circuit = CircuitBreaker()
        self._was_open = False
        self._waiting: set[asyncio.Timeout] = set()
        self._errors = metrics.store_errors
        metrics.watch(metrics.store_circuit_open.labels(name), lambda: self._circuit.is_open)

    async def run(self, operation: str, work: Callable[[], T], seconds: float) -> T:
        """What `work` returns or raises; StoreUnavailable if that takes longer, or if the store is known to be away."""
        call = _Call(operation, self._circuit.admit())
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self._take(call, deadline)
                working = asyncio.ensure_future(anyio.to_thread.run_sync(work, limiter=self._threads))
                working.add_done_callback(partial(self._ended, call))
                return await asyncio.shield(working)
        except TimeoutError:
            late = StoreUnavailable(LATE, reason="late")
            self._failed(call, late)
            raise late from None

    async def _take(self, call: "_Call", deadline: asyncio.Timeout) -> None:
        self._waiting.add(deadline)
        try:
            await self._places.acquire_on_behalf_of(call)
        finally:
            self._waiting.discard(deadline)
        call.begun = True

    def _ended(self, call: "_Call", working: "asyncio.Future[T]") -> None:
        """Of every call, also one that nobody waits for any longer."""
        self._places.release_on_behalf_of(call)
        error = None if working.cancelled() else working.exception()
        if isinstance(error, StoreUnavailable):
            self._failed(call, error)
        elif error is None or isinstance(error, (ObjectNotFound, ObjectExists)):
            self._circuit.succeeded()
            self._tell()

    def _failed(self, call: "_Call", error: StoreUnavailable) -> None:
        """Once for each call: one that was late may fail later. Who got no place says nothing about the store."""
        if call.failed:
            return
        call.failed = True
        self._errors.labels(call.operation, error.reason).inc()
        if call.begun:
            self._circuit.failed(call.admitted, str(error))
            self._tell()

    def _tell(self) -> None:
        if self._circuit.is_open == self._was_open:
            return
        self._was_open = self._circuit.is_open
        if not self._was_open:
            log.info("the object store is back", calls=self._name)
            return
        log.error("the object store is away: it is asked only now and then", calls=self._name)
        now = asyncio.get_running_loop().time()
        for deadline in self._waiting:  # for a place, that is: those who have one shall hear for themselves
            if not deadline.expired():
                deadline.reschedule(now)


@dataclass(eq=False, slots=True)
class _Call:
    operation: str
    admitted: float
    begun: bool = False
    failed: bool = False
