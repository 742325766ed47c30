"""The lease port, and its adapter for a process that is alone."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class LeaseStore(Protocol):
    """A lease by key. It saves work; it is not what keeps the result right: conditional puts and equal bytes are."""

    def hold(self, key: str, *, wait: bool = True) -> AbstractAsyncContextManager[bool]:
        """Holds `key` for the block; True once it does. With `wait=False`, False at once where another holds it.

        Only the holder frees it. A holder that dies is found out within seconds. Never raises for reasons of its own:
        where leases cannot be had, it answers True, and two may do the same work.
        """

    async def close(self) -> None: ...


class NoLeases:
    """For one process, whose flights are enough."""

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:  # noqa: ARG002 - the interface has it
        yield True

    async def close(self) -> None:
        pass
