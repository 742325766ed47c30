"""The queue port."""

from collections.abc import AsyncIterator
from typing import Protocol

from proxy.model import UploadId


class WarmupQueue(Protocol):
    """Tells workers of pending jobs. The database stays the truth: a queue that forgets loses no job."""

    async def publish(self, upload_id: UploadId) -> None:
        """Idempotent by id: a repeat is one job."""

    def take(self) -> AsyncIterator[UploadId]:
        """Jobs to do, for ever. The same one may come twice; claiming it in the database decides who has it."""
