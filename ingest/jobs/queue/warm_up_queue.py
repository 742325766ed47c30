"""The queue port."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ingest.records import JobStatus
from proxy.model import UploadId


class TryAgain(Exception):
    """This try failed for a reason that may pass; the queue decides when the next one comes."""


async def _nobody(_progress: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at a job.

    `final_attempt`: no other attempt follows. `exclusive`: the queue guarantees that no living worker has this job, so
    a job that is `processing` was left by a dead worker. `force`: run the job even if it has ended. `report` tells the
    queue the progress, 0 to 100.
    """

    upload_id: UploadId
    final_attempt: bool = False
    exclusive: bool = False
    force: bool = False
    report: Callable[[int], Awaitable[None]] = _nobody


Handler = Callable[[Delivery], Awaitable[JobStatus | None]]
"""Does the job; raises TryAgain, unless the delivery is the last."""


class WarmUpQueue(Protocol):
    """Brings jobs to workers. The database stays the truth: a queue that forgets loses no job."""

    async def publish(self, upload_id: UploadId) -> None:
        """Idempotent by id: a repeat is one job. Raises QueueUnavailable."""

    async def gave_up(self, upload_id: UploadId) -> str | None:
        """Why the queue will not bring this job again, if so. Raises QueueUnavailable."""

    async def lengths(self) -> dict[str, int]:
        """Jobs by state, as the queue itself counts them; empty where it is the database. Raises QueueUnavailable."""

    async def consume(self, handle: Handler, concurrency: int) -> None:
        """Hands jobs to `handle` until cancelled; then lets those in hand finish for a while."""

    async def close(self) -> None: ...
