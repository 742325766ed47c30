"""The port that tells every process of a deleted or changed upload, so that none serves it from memory."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from proxy.model import UploadId, parse_upload_id

NOT_PUBLISHED = "invalidation not published, other processes may serve the old variants for a minute"
"""Log event of both adapters; the minute is `memory_cache.MAX_AGE`."""

_CHANGED = ".changed"


class Invalidation(NamedTuple):
    """An upload whose variants in memory must be removed. `is_deleted`: it was deleted; otherwise it was changed."""

    upload_id: UploadId
    is_deleted: bool = True

    @property
    def text(self) -> str:
        """The message in Redis, or the name of the file."""
        return self.upload_id if self.is_deleted else f"{self.upload_id}{_CHANGED}"


def parse_invalidation(text: str) -> Invalidation | None:
    """The inverse of `Invalidation.text`; None if `text` is something else."""
    upload_id = parse_upload_id(text.removesuffix(_CHANGED))
    return Invalidation(upload_id, is_deleted=not text.endswith(_CHANGED)) if upload_id else None


OnInvalidation = Callable[[Invalidation | None], None]


class InvalidationBus(Protocol):
    """Tells the processes of an installation which uploads they must remove from their memory."""

    async def publish(self, invalidation: Invalidation) -> None:
        """Tells all subscribers. Logs failures and never raises: caches expire anyway (memory_cache.MAX_AGE)."""

    async def subscribe(self, on_invalidation: OnInvalidation) -> None:
        """Calls `on_invalidation` with each invalidation, or None when invalidations may have been missed.

        Runs until cancelled.
        """

    async def close(self) -> None:
        """Frees connections."""


class NoInvalidation:
    """Does nothing. For a single process."""

    async def publish(self, invalidation: Invalidation) -> None:
        pass

    async def subscribe(self, on_invalidation: OnInvalidation) -> None:
        pass

    async def close(self) -> None:
        pass
