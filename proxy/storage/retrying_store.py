"""An object store that waits for the end of an outage: a command that has run for hours goes on instead of ending."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

import structlog
from typing_extensions import override

from proxy.errors import StoreUnavailable
from proxy.retries import Attempts
from proxy.storage.object_store import ObjectExists, ObjectInfo, ObjectNotFound, ObjectStore
from proxy.storage.wrapping_store import WrappingStore

log = structlog.get_logger()

T = TypeVar("T")

DELAYS = (1, 2, 4, 8, *[15] * 19)
"""Seconds between attempts, 5 minutes together: throttling, or the restart of a server, takes less. A call that waits
keeps what its caller holds, such as a lease, until `stopping` is set."""


class RetryingStore(WrappingStore):
    """Repeats calls to `inner` that meet an outage. Raises the last StoreUnavailable after all `delays`.

    `stopping`: set it before waiting for the end of running calls. Calls that wait for the store then fail at once.

    A store that has never answered is not waited for: its address or its credentials are probably wrong. A repeated
    conditional put may find the object of its own first attempt, and raise ObjectExists for it.
    """

    def __init__(
        self, inner: ObjectStore, delays: Iterable[float] = DELAYS, stopping: asyncio.Event | None = None
    ) -> None:
        super().__init__(inner)
        self._stopping = stopping or asyncio.Event()
        self._delays = tuple(delays)
        self._has_answered = False
        self._waiting = 0  # calls that wait for the end of an outage

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        def begin(last: ObjectInfo | None) -> AsyncIterator[ObjectInfo]:
            return self.inner.list(prefix, after=last.key if last else after)

        async for info in self._read(begin):
            yield info

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        """Yields the names. After an outage, lists again and leaves out those that it has yielded."""

        async def begin(last: str | None) -> AsyncIterator[str]:
            async for name in self.inner.folders(prefix):
                if last is None or f"{name}/" > f"{last}/":  # the order of the keys
                    yield name

        async for name in self._read(begin):
            yield name

    async def _read(self, begin: Callable[[T | None], AsyncIterator[T]]) -> AsyncIterator[T]:
        """Yields the items of `begin(None)`; after an outage, those of `begin` with the last item."""
        last: T | None = None
        while True:
            items, item = await self._call(lambda: self._advance(begin(last)))  # noqa: B023 - called at once
            try:
                while item is not None:
                    yield item
                    last = item
                    item = await anext(items, None)
            except StoreUnavailable as error:
                if not error.is_outage:
                    raise
            else:
                return

    @staticmethod
    async def _advance(items: AsyncIterator[T]) -> tuple[AsyncIterator[T], T | None]:
        return items, await anext(items, None)

    @override
    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        is_waiting = False
        try:
            async for retry_in in Attempts(self._delays, self._stopping):
                try:
                    result = await call()
                except StoreUnavailable as error:
                    is_last = retry_in is None or self._stopping.is_set()
                    if is_last or not error.is_outage or not self._has_answered:
                        raise
                    outage = error
                    if not is_waiting:
                        is_waiting = True
                        self._on_wait(error)
                except (ObjectNotFound, ObjectExists):
                    self._has_answered = True
                    raise
                else:
                    self._has_answered = True
                    return result
            raise outage  # `stopping` was set during a pause
        finally:
            self._waiting -= is_waiting

    def _on_wait(self, error: StoreUnavailable) -> None:
        self._waiting += 1
        if self._waiting == 1:  # others meet the same outage
            seconds = sum(self._delays)
            log.warning("object store unavailable, retrying", error=str(error), up_to_seconds=seconds)
