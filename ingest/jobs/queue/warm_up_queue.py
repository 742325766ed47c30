"""The WarmUpQueue port, which delivers jobs to workers, and the delays between the attempts at a job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from ingest.records import JobStatus
from proxy.errors import Unavailable
from proxy.model import UploadId

log = structlog.get_logger()

DELAYS = (1, 2, 4, 8, 16)
"""Seconds before each retry, long enough for a store to restart."""
ATTEMPTS = len(DELAYS) + 1


class TryAgain(Exception):
    """This attempt failed for a temporary reason. The next one is due after `seconds`, or after BullMQ's own delay."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


async def _ignore_progress(_progress: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at a job. `final_attempt`: the queue makes no further one, whatever number the job's row has.

    `exclusive`: the queue delivers this job to no other worker meanwhile. So if it is `processing`, either its worker
    is dead, or a command that does not use the queue (`darkroom warm`, `darkroom upload --wait`) runs it; the
    command then loses the job.

    `force`: run the job even if it has ended. `report` tells the queue the progress, 0 to 100.
    """

    upload_id: UploadId
    final_attempt: bool = False
    exclusive: bool = False
    force: bool = False
    report: Callable[[int], Awaitable[None]] = _ignore_progress


Handler = Callable[[Delivery], Awaitable[JobStatus | None]]
"""Runs a job. Returns its final status, or None if it was not claimable or was deleted meanwhile.

May raise UnknownUpload and CatalogUnavailable before the job begins, and TryAgain, but not on the final attempt. After
CatalogUnavailable and TryAgain, the queue delivers the job again.
"""


async def try_to_publish(queue: "WarmUpQueue", upload_id: UploadId) -> None:
    """Publishes a job. Only logs a failure: workers find the job in the database as well."""
    try:
        await queue.publish(upload_id)
    except Unavailable as error:
        log.warning("warm-up not published, retry later", upload=upload_id, error=str(error))


class WarmUpQueue(Protocol):
    """Delivers jobs to workers. The database is the source of truth: a queue that loses jobs only delays them."""

    async def publish(self, upload_id: UploadId) -> None:
        """Publishes a job. Idempotent by upload id. Raises QueueUnavailable."""

    async def failure_reason(self, upload_id: UploadId) -> str | None:
        """Returns why the queue will not deliver the job again, None if it will. Raises QueueUnavailable."""

    async def lengths(self) -> dict[str, int]:
        """Counts the queue's jobs by state; empty if the database is the queue. Raises QueueUnavailable."""

    async def consume(self, handle: Handler, concurrency: int) -> None:
        """Passes jobs to `handle` until cancelled.

        Then gives running jobs some time to finish (BullMQ), or cancels them immediately (local). A cancelled job is
        pending again.
        """

    async def close(self) -> None:
        """Frees connections."""
