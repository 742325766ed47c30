"""Tries at a job within this process."""

import asyncio
import random

import structlog

from ingest.jobs.queue.warm_up_queue import Delivery, Handler, TryAgain
from ingest.records import JobStatus
from proxy.model import UploadId

log = structlog.get_logger()

DELAYS = (1, 2, 4, 8, 16)
"""Seconds before each further try: a store that restarts is back by then, and one that is not is an operator's case.

Drawn up to a quarter shorter or longer, or all jobs that met the same fault would come back in the same moment.
"""


async def deliver(handle: Handler, upload_id: UploadId, *, force: bool = False) -> JobStatus | None:
    """What `handle` made of the job, after as many tries as it took."""
    for delay in DELAYS:
        try:
            return await handle(Delivery(upload_id, force=force))
        except TryAgain as reason:
            seconds = round(delay * random.uniform(0.75, 1.25), 2)  # noqa: S311 - jitter
            log.warning("warm-up will be tried again", upload=upload_id, reason=str(reason), seconds=seconds)
            await asyncio.sleep(seconds)
    return await handle(Delivery(upload_id, force=force, final_attempt=True))
