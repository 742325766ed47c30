"""Whether a store that has just failed, again and again, is to be asked at all."""

import math
import random
from collections.abc import Callable
from time import monotonic

from proxy.errors import StoreUnavailable

FAILURES = 5
"""In a row, and it is taken to be away. One is a lost packet; a store that is away gives that many within a second."""

PAUSE = 1.0  # seconds between tries at a store that is away, each drawn between half and all of it


class CircuitBreaker:
    """Closed, everyone may ask. Open, one may each `PAUSE`, and everybody else is told at once what the last one heard.

    Not for threads: the event loop is its only user.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._next_try = 0.0
        self._answered = -math.inf
        self._heard = ""

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES

    def admit(self) -> float:
        """The moment that `failed` wants to know. Raises StoreUnavailable, with the seconds until the next try."""
        now = self._clock()
        if self.is_open:
            if now < self._next_try:
                raise StoreUnavailable(self._heard, retry_after=math.ceil(self._next_try - now))
            self._wait(now)  # this one tries; who comes meanwhile does not
        return now

    def succeeded(self) -> None:
        """It answered, if only that there is no such object."""
        self._failures = 0
        self._answered = self._clock()

    def failed(self, admitted: float, heard: str) -> None:
        """What was asked before the store last answered says nothing about it as it is now."""
        if admitted < self._answered:
            return
        self._failures += 1
        self._heard = heard
        self._wait(self._clock())

    def _wait(self, now: float) -> None:
        self._next_try = now + PAUSE * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
