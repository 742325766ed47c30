"""Tries at a job within this process."""

import asyncio

import structlog

from ingest.jobs import JobStatus
from ingest.queue.base import Delivery, Handler, TryAgain
from proxy.model import UploadId

log = structlog.get_logger()

DELAYS = (1, 2, 4, 8, 16)
"""Seconds before each further try: a store that restarts is back by then, and one that is not is an operator's case."""


async def deliver(handle: Handler, upload_id: UploadId, *, again: bool = False) -> JobStatus | None:
    """What `handle` made of the job, after as many tries as it took."""
    for delay in DELAYS:
        try:
            return await handle(Delivery(upload_id, again=again))
        except TryAgain as reason:
            log.warning("warm-up will be tried again", upload=upload_id, reason=str(reason), seconds=delay)
            await asyncio.sleep(delay)
    return await handle(Delivery(upload_id, again=again, last=True))
