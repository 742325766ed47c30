"""The port that tells every process of a deleted upload, so that none serves it from memory."""

from collections.abc import Callable
from typing import Protocol

from proxy.model import UploadId

NOT_PUBLISHED = "invalidation not published, other processes may serve the deleted upload for a minute"
"""Log event of both adapters; the minute is `memory_cache.MAX_AGE`."""


class InvalidationBus(Protocol):
    async def publish(self, upload_id: UploadId) -> None:
        """Tells all subscribers. Logs failures and never raises: caches expire anyway (memory_cache.MAX_AGE)."""

    async def subscribe(self, on_invalidation: Callable[[UploadId | None], None]) -> None:
        """Calls `on_invalidation` for each deleted upload, with None if some may be missed. Runs until cancelled."""

    async def close(self) -> None: ...


class NoInvalidation:
    """Does nothing. For a single process."""

    async def publish(self, upload_id: UploadId) -> None:
        pass

    async def subscribe(self, on_invalidation: Callable[[UploadId | None], None]) -> None:
        pass

    async def close(self) -> None:
        pass
