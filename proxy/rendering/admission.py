"""Who may use a render process next: live requests before warm-ups, as far as memory goes, and only so many waiting."""

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
"""Lighter ones that may go in before one that waits for memory. Then nobody behind it does until it has gone in."""


class Priority(IntEnum):
    LIVE = 0
    """Somebody is waiting for an answer."""
    BACKGROUND = 1
    """Warm-ups and refreshes: they get what live requests leave."""


@dataclass(eq=False, slots=True)
class Turn:
    """One's place in the queue and then inside. `cost` is bytes; times are seconds of the monotonic clock."""

    cost: int
    granted: asyncio.Future[None]
    arrived: float = field(default_factory=monotonic)
    entered: float = 0
    passed: int = 0


class Admission:
    """`slots` at a time, who together cost at most `room` bytes.

    At most `max_waiting` live requests wait, each at most `patience` seconds. Background work waits as long as it
    takes: there is never more of it than there are workers.
    """

    def __init__(self, slots: int, room: int, *, max_waiting: int, patience: float, metrics: Metrics) -> None:
        self._slots = slots
        self._room = room
        self._max_waiting = max_waiting
        self._patience = patience
        self._metrics = metrics
        self._queues: dict[Priority, deque[Turn]] = {priority: deque() for priority in Priority}
        self._inside: set[Turn] = set()
        self._coming = 0
        self._ended = 0
        self._mean_seconds = 0.2  # of one admission; learnt as they end

    @property
    def waiting(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    @property
    def reserved_bytes(self) -> int:
        """Bytes."""
        return sum(turn.cost for turn in self._inside)

    def raise_if_full(self, priority: Priority) -> None:
        """Raises Overloaded if who comes now would find no place to wait. Costs nothing: ask before what does."""
        free = self._slots - len(self._inside)
        # Of background work there is never more than there are workers.
        if priority is Priority.LIVE and self._coming + len(self._queues[priority]) >= self._max_waiting + free:
            raise self._overloaded(0, "full")

    @contextmanager
    def reserve_place(self, priority: Priority) -> Iterator[None]:
        """Around what is fetched for a process before `admit`: that takes room and time, too, and counts as waiting.

        Raises Overloaded where there would be no place to wait afterwards.
        """
        self.raise_if_full(priority)
        live = priority is Priority.LIVE
        self._coming += live
        try:
            yield
        finally:
            self._coming -= live

    async def admit(self, priority: Priority, cost: int) -> Turn:
        """Returns once there is a slot, and room for `cost` bytes. Whoever enters leaves.

        Raises Overloaded, with the seconds until there should be room.
        """
        assert cost <= self._room
        turn = Turn(cost, asyncio.get_running_loop().create_future())
        queue = self._queues[priority]
        queue.append(turn)
        self._let_in()
        if turn in queue and priority is Priority.LIVE and len(queue) > self._max_waiting:
            queue.remove(turn)
            raise self._overloaded(cost, "full")
        try:
            async with asyncio.timeout(self._patience if priority is Priority.LIVE else None):
                await turn.granted
        except TimeoutError:
            self._give_up(queue, turn)
            raise self._overloaded(cost, "late") from None
        except asyncio.CancelledError:
            self._give_up(queue, turn)
            raise
        self._metrics.render_wait_seconds.labels(priority.name.lower()).observe(turn.entered - turn.arrived)
        return turn

    def release(self, turn: Turn) -> None:
        seconds = monotonic() - turn.entered
        self._ended += 1
        self._mean_seconds += max(0.1, 1 / self._ended) * (seconds - self._mean_seconds)
        self._inside.remove(turn)
        self._let_in()

    def _let_in(self) -> None:
        heavy: list[Turn] = []  # they wait for memory, and are passed by whom there is room for
        for queue in self._queues.values():
            for turn in [*queue]:
                if len(self._inside) == self._slots or any(each.passed >= MAX_PASSES for each in heavy):
                    return
                if turn.granted.done():  # cancelled, and about to give up
                    continue
                if turn.cost > self._room - self.reserved_bytes:
                    heavy.append(turn)
                    continue
                for each in heavy:
                    each.passed += 1
                queue.remove(turn)
                self._inside.add(turn)
                turn.entered = monotonic()
                turn.granted.set_result(None)

    def _give_up(self, queue: deque[Turn], turn: Turn) -> None:
        if turn in queue:
            queue.remove(turn)
        else:  # it was let in in the very moment of leaving
            self._inside.remove(turn)
        self._let_in()

    def _overloaded(self, cost: int, reason: str) -> Overloaded:
        self._metrics.render_refusals.labels(reason).inc()
        return Overloaded(
            "Too many pictures are being derived. Try again shortly.",
            retry_after=max(1, math.ceil(self._rounds_before(cost) * self._seconds_each())),
        )

    def _rounds_before(self, cost: int) -> int:
        """Those inside, waiting and coming, and one more of `cost`, seated in order: how often the seats change."""
        rounds, slots, room = 0, self._slots, self._room
        for each in [*(turn.cost for turn in (*self._inside, *self._queues[Priority.LIVE])), *[0] * self._coming, cost]:
            if not slots or each > room:
                rounds, slots, room = rounds + 1, self._slots, self._room
            slots, room = slots - 1, room - each
        return rounds

    def _seconds_each(self) -> float:
        """What an admission takes on average; those inside at least as long as they have been there."""
        now = monotonic()
        seconds = [max(self._mean_seconds, now - turn.entered) for turn in self._inside]
        return sum(seconds) / len(seconds) if seconds else self._mean_seconds
