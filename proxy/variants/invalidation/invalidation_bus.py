"""Tells every process that an upload was deleted, so that no memory serves it any longer."""

from collections.abc import Callable
from typing import Protocol

from proxy.model import UploadId


class InvalidationBus(Protocol):
    async def publish(self, upload_id: UploadId) -> None:
        """Never raises: who hears nothing forgets within a minute (hot.MAX_AGE)."""

    async def subscribe(self, heard: Callable[[UploadId | None], None]) -> None:
        """Calls `heard` for each, until it is cancelled; with None where some may have been missed."""

    async def close(self) -> None: ...


class NoInvalidation:
    """For one process."""

    async def publish(self, upload_id: UploadId) -> None:
        pass

    async def subscribe(self, heard: Callable[[UploadId | None], None]) -> None:
        pass

    async def close(self) -> None:
        pass
