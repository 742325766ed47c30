"""Retries of a job within this process."""

import asyncio
import random

import structlog

from ingest.jobs.queue.warm_up_queue import Delivery, Handler, TryAgain
from ingest.records import JobStatus
from proxy.model import UploadId

log = structlog.get_logger()

DELAYS = (1, 2, 4, 8, 16)
"""Seconds before each retry, long enough for a store to restart.

Each delay is randomised by a quarter, so that jobs that met the same fault do not all retry at the same moment.
"""


async def deliver(handle: Handler, upload_id: UploadId, *, force: bool = False) -> JobStatus | None:
    """Delivers a job to `handle`, with retries. Returns the result of the last attempt."""
    for delay in DELAYS:
        try:
            return await handle(Delivery(upload_id, force=force))
        except TryAgain as reason:
            seconds = round(delay * random.uniform(0.75, 1.25), 2)  # noqa: S311 - jitter needs no secure random
            log.warning("warm-up retry scheduled", upload=upload_id, reason=str(reason), seconds=seconds)
            await asyncio.sleep(seconds)
    return await handle(Delivery(upload_id, force=force, final_attempt=True))
