"""Delivers a job within this process."""

import structlog

from ingest.jobs.queue.warm_up_queue import Delivery, Handler, TryAgain
from ingest.records import JobStatus
from proxy.model import UploadId
from proxy.retries import Attempts

log = structlog.get_logger()

DELAYS = (1, 2, 4, 8, 16)
"""Seconds before each retry, long enough for a store to restart."""


async def deliver(handle: Handler, upload_id: UploadId, *, force: bool = False) -> JobStatus | None:
    """Delivers a job to `handle`, with retries. Returns the result of the last attempt."""
    async for retry_in in Attempts(DELAYS):
        try:
            return await handle(Delivery(upload_id, force=force, final_attempt=retry_in is None))
        except TryAgain as reason:
            log.warning("warm-up retry scheduled", upload=upload_id, reason=str(reason), seconds=retry_in)
    raise AssertionError("The final attempt raised TryAgain.")
