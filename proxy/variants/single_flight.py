"""One piece of work per key at a time, however many want its result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Flights by key. A flight is nobody's own: a caller that leaves cancels nothing."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Future[V]] = {}

    def __contains__(self, key: K) -> bool:
        flight = self._flights.get(key)
        return flight is not None and not flight.done()

    async def do(self, key: K, work: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        """The result of `work`, and whether this call began it. Raises what `work` raised, for everyone alike."""
        flight = self._flights.get(key)
        leads = flight is None or flight.done()
        if flight is None or flight.done():
            flight = asyncio.ensure_future(work())
            self._launch(key, flight)
        return await asyncio.shield(flight), leads

    @contextmanager
    def claim(self, keys: Sequence[K], otherwise: Callable[[], Exception]) -> Iterator[dict[K, asyncio.Future[V]]]:
        """Flights that the caller itself lands, for those keys that are not in the air yet.

        Whoever joins one waits for `set_result`; those that the block leaves open fail with its exception, or with
        what `otherwise` makes if it ended without one or was cancelled.
        """
        claimed: dict[K, asyncio.Future[V]] = {}
        for key in keys:
            if key not in self:
                claimed[key] = asyncio.get_running_loop().create_future()
                self._launch(key, claimed[key])
        failure: Exception | None = None
        try:
            yield claimed
        except Exception as error:
            failure = error
            raise
        finally:
            for flight in claimed.values():
                if not flight.done():
                    flight.set_exception(failure or otherwise())

    def _launch(self, key: K, flight: asyncio.Future[V]) -> None:
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._land(key, done))

    def _land(self, key: K, flight: asyncio.Future[V]) -> None:
        if self._flights.get(key) is flight:  # landed flights may be followed before they are cleared away
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # seen: a flight whose callers have all left must not warn of it

    async def drain(self) -> None:
        """Waits until every flight has landed."""
        while self._flights:
            await asyncio.wait(list(self._flights.values()))
