"""The lease port, and its adapter for a single process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

RELEASED_SECONDS = 10.0
"""The time for which a release is remembered. Longer than any pause between a request's look-up and its lease."""


class LeaseStore(Protocol):
    """Leases by key, which only save work.

    While the lease store is unavailable, every caller gets its lease, so nothing may depend on them for its
    correctness.
    """

    def hold(self, key: str, *, wait: bool = True) -> AbstractAsyncContextManager[bool]:
        """Holds the lease on `key` for the block and yields True. With `wait=False`, yields False if it is taken.

        Only the holder can release it. The lease of a dead holder ends within seconds. Does not raise: if the lease
        store fails, it yields True, and two processes may do the same work.
        """

    async def was_released(self, key: str) -> bool:
        """Whether a holder released `key` in the last `RELEASED_SECONDS`: its work may be done. May err towards True.

        For a caller that looked for the result before it got the lease: if True, it should look again. Does not raise:
        False if the lease store fails.
        """

    async def close(self) -> None:
        """Frees connections."""


class NoLeases:
    """Grants every lease. For a single process, where `SingleFlight` suffices."""

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:  # noqa: ARG002 - the port has it
        yield True

    async def was_released(self, key: str) -> bool:  # noqa: ARG002 - the port has it
        return False

    async def close(self) -> None:
        pass
