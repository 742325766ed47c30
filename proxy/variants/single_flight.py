"""Runs one piece of work per key at a time and shares its result among concurrent callers."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Shares work among concurrent callers.

    A flight is one running piece of work; cancelling a caller does not cancel it.
    """

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Future[V]] = {}
        self._running: set[asyncio.Future[V]] = set()  # also those that are forgotten

    def __contains__(self, key: K) -> bool:
        flight = self._flights.get(key)
        return flight is not None and not flight.done()

    async def do(self, key: K, work: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        """Returns the result of `work` for `key`, and whether this call started it.

        Every caller gets what `work` raises.
        """
        flight = self._flights.get(key)
        is_leader = flight is None or flight.done()
        if flight is None or flight.done():
            flight = asyncio.ensure_future(work())
            self._add(key, flight)
        return await asyncio.shield(flight), is_leader

    @contextmanager
    def claiming(
        self, make_abandoned_error: Callable[[], Exception]
    ) -> Iterator[Callable[[K], "asyncio.Future[V] | None"]]:
        """Yields a function that opens a flight for a key and returns its future; None if the key has a flight already.

        Set the future's result: callers of `do` with this key wait for it. Flights still open at the end of the block
        fail with the exception that ended the block, or with `make_abandoned_error()` if none did or it was cancelled.
        """
        claimed: list[asyncio.Future[V]] = []

        def claim(key: K) -> "asyncio.Future[V] | None":
            if key in self:
                return None
            claimed.append(asyncio.get_running_loop().create_future())
            self._add(key, claimed[-1])
            return claimed[-1]

        failure: Exception | None = None
        try:
            yield claim
        except Exception as error:
            failure = error
            raise
        finally:
            for flight in claimed:
                if not flight.done():
                    flight.set_exception(failure or make_abandoned_error())

    def forget(self, is_outdated: Callable[[K], bool]) -> None:
        """Lets later callers of outdated keys start new flights. Callers that wait get the running flight's result."""
        for key in [key for key in self._flights if is_outdated(key)]:
            del self._flights[key]

    def _add(self, key: K, flight: asyncio.Future[V]) -> None:
        self._flights[key] = flight
        self._running.add(flight)
        flight.add_done_callback(lambda done: self._on_done(key, done))

    def _on_done(self, key: K, flight: asyncio.Future[V]) -> None:
        self._running.discard(flight)
        if self._flights.get(key) is flight:  # a new flight may have replaced a completed one before this callback runs
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # marks it as retrieved: all callers may have been cancelled

    async def drain(self) -> None:
        """Waits until every flight has completed."""
        while self._running:
            await asyncio.wait(list(self._running))
