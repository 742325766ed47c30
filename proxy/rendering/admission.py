"""Admission to the render workers: live requests before background work, within a memory budget and a bounded queue."""

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from time import monotonic

from proxy.errors import Overloaded
from proxy.telemetry import Metrics

MAX_PASSES = 8
"""How many smaller requests may overtake one that waits for memory. After that, later requests wait behind it."""


class Priority(IntEnum):
    """The order in which requests get render workers."""

    LIVE = 0
    """A client waits for the response."""
    BACKGROUND = 1
    """Warm-ups and refreshes. They get the capacity that live requests leave."""


@dataclass(eq=False, slots=True)
class AdmissionRequest:
    """One request, first queued, then admitted. `memory` is bytes; times are seconds of the monotonic clock."""

    memory: int
    granted: asyncio.Future[None]
    queued_at: float = field(default_factory=monotonic)
    admitted_at: float = 0
    passes: int = 0


class Admission:
    """Admits at most `slots` requests at a time, whose memory estimates together fit into `budget` bytes.

    At most `max_waiting` live requests wait, each at most `max_wait` seconds. Background requests wait without a
    limit: there are never more of them than warm-up workers.
    """

    def __init__(self, slots: int, budget: int, *, max_waiting: int, max_wait: float, metrics: Metrics) -> None:
        self._slots = slots
        self._budget = budget
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._metrics = metrics
        self._queues: dict[Priority, deque[AdmissionRequest]] = {priority: deque() for priority in Priority}
        self._admitted: set[AdmissionRequest] = set()
        self._reserved_places = 0
        self._completed = 0
        self._mean_seconds = 0.2  # between admission and release: a first guess, then a running mean

    @property
    def waiting(self) -> int:
        """The number of requests that wait, live and background."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def has_live_waiting(self) -> bool:
        return bool(self._queues[Priority.LIVE])

    @property
    def reserved_bytes(self) -> int:
        """The sum of the memory estimates of all admitted requests."""
        return sum(request.memory for request in self._admitted)

    def raise_if_full(self, priority: Priority) -> None:
        """Raises Overloaded if the queue for `priority` is full. It is cheap, so call it before expensive work."""
        free = self._slots - len(self._admitted)
        waiting = self._reserved_places + len(self._queues[priority])
        # Background requests need no limit: there are never more of them than warm-up workers.
        if priority is Priority.LIVE and waiting >= self._max_waiting + free:
            raise self._overloaded(0, "full")

    @contextmanager
    def reserve_place(self, priority: Priority) -> Iterator[None]:
        """Holds a place in the queue while the caller fetches the original, before it calls `admit`.

        Raises Overloaded if the queue is full.
        """
        self.raise_if_full(priority)
        live = priority is Priority.LIVE
        self._reserved_places += live
        try:
            yield
        finally:
            self._reserved_places -= live

    async def admit(self, priority: Priority, memory: int) -> AdmissionRequest:
        """Waits for a slot and for `memory` free bytes. Returns the admitted request, which the caller must `release`.

        Raises Overloaded, with the expected seconds until there is capacity.
        """
        assert memory <= self._budget
        request = AdmissionRequest(memory, asyncio.get_running_loop().create_future())
        queue = self._queues[priority]
        queue.append(request)
        self._admit_waiting()
        if request in queue and priority is Priority.LIVE and len(queue) > self._max_waiting:
            queue.remove(request)
            raise self._overloaded(memory, "full")
        try:
            async with asyncio.timeout(self._max_wait if priority is Priority.LIVE else None):
                await request.granted
        except TimeoutError:
            self._withdraw(queue, request)
            raise self._overloaded(memory, "late") from None
        except asyncio.CancelledError:
            self._withdraw(queue, request)
            raise
        self._metrics.render_wait_seconds.labels(priority.name.lower()).observe(request.admitted_at - request.queued_at)
        return request

    def release(self, request: AdmissionRequest) -> None:
        """Frees the slot and the memory of an admitted request, and admits those that fit now."""
        seconds = monotonic() - request.admitted_at
        self._completed += 1
        self._mean_seconds += max(0.1, 1 / self._completed) * (seconds - self._mean_seconds)
        self._admitted.remove(request)
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        blocked: list[AdmissionRequest] = []  # waiting for memory; smaller requests may overtake them
        for queue in self._queues.values():
            for request in [*queue]:
                if len(self._admitted) == self._slots or any(each.passes >= MAX_PASSES for each in blocked):
                    return
                if request.granted.done():  # cancelled, and not yet withdrawn
                    continue
                if request.memory > self._budget - self.reserved_bytes:
                    blocked.append(request)
                    continue
                for each in blocked:
                    each.passes += 1
                queue.remove(request)
                self._admitted.add(request)
                request.admitted_at = monotonic()
                request.granted.set_result(None)

    def _withdraw(self, queue: deque[AdmissionRequest], request: AdmissionRequest) -> None:
        if request in queue:
            queue.remove(request)
        else:  # admitted between the timeout or cancellation and this call
            self._admitted.remove(request)
        self._admit_waiting()

    def _overloaded(self, memory: int, reason: str) -> Overloaded:
        self._metrics.render_refusals.labels(reason).inc()
        return Overloaded(
            "Too many variants are being derived. Try again shortly.",
            retry_after=max(1, math.ceil(self._rounds_before(memory) * self._expected_seconds())),
        )

    def _rounds_before(self, memory: int) -> int:
        """Estimates how often all slots turn over before a request of `memory` bytes is admitted.

        Fills slots and memory in order with the admitted requests, the live queue, the reserved places and the request.
        """
        rounds, slots, free = 0, self._slots, self._budget
        requests = (*self._admitted, *self._queues[Priority.LIVE])
        for each in [*(request.memory for request in requests), *[0] * self._reserved_places, memory]:
            if not slots or each > free:
                rounds, slots, free = rounds + 1, self._slots, self._budget
            slots, free = slots - 1, free - each
        return rounds

    def _expected_seconds(self) -> float:
        """The mean duration of the admitted requests; each lasts at least as long as it has been running."""
        now = monotonic()
        seconds = [max(self._mean_seconds, now - request.admitted_at) for request in self._admitted]
        return sum(seconds) / len(seconds) if seconds else self._mean_seconds
