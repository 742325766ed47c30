"""Stops calls to a store that keeps failing."""

import math
import random
from collections.abc import Callable
from time import monotonic

from proxy.errors import StoreUnavailable

FAILURES = 5
"""Consecutive failures that open the circuit. One may be a lost packet; an outage causes this many within a second."""

PAUSE = 1.0  # seconds between probes while the circuit is open; jitter takes up to half off

REPORTED = 300.0
"""Seconds without a call after which an open circuit is no longer reported: the store may have recovered. Otherwise an
outage that ended would alert until the next call, and deletions are rare."""


class CircuitBreaker:
    """Admits calls to a store, or rejects them while the store fails.

    Closed: admits every call. Open: admits one probe per `PAUSE` and rejects the rest with the last error. Not
    thread-safe: use it from the event loop only.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._next_probe = 0.0
        self._last_success = -math.inf
        self._last_error = ""

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES

    @property
    def is_reported(self) -> bool:
        """Whether the circuit is open, and calls still come: the next probe has been due for less than `REPORTED`."""
        return self.is_open and self._clock() < self._next_probe + REPORTED

    def admit(self) -> float:
        """Returns the time of admission, for `record_failure`. Raises StoreUnavailable until the next probe is due."""
        now = self._clock()
        if self.is_open:
            if now < self._next_probe:
                raise StoreUnavailable(self._last_error, retry_after=math.ceil(self._next_probe - now), is_outage=True)
            self._schedule_probe(now)  # this call is the probe
        return now

    def record_success(self) -> None:
        """Closes the circuit.

        Call it for every answer of the store, also "not found" or "access denied" for one object.
        """
        self._failures = 0
        self._last_success = self._clock()

    def record_failure(self, admitted: float, error: str) -> None:
        """Counts a failure and schedules the next probe.

        `admitted`: what `admit` returned. `error`: the message with which `admit` then rejects calls.

        Ignores a call admitted before the last success: its failure says nothing about the store's present state.
        """
        if admitted < self._last_success:
            return
        self._failures += 1
        self._last_error = error
        self._schedule_probe(self._clock())

    def _schedule_probe(self, now: float) -> None:
        self._next_probe = now + PAUSE * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secure random
