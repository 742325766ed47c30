"""Runs a job for a command, without a queue (`darkroom warm`, `darkroom upload --wait`)."""

from asyncio import sleep

import structlog

from ingest.jobs.queue.warm_up_queue import Delivery, Handler, TryAgain
from ingest.records import JobStatus
from proxy.errors import UnknownUpload
from proxy.model import UploadId

log = structlog.get_logger()


async def deliver(handle: Handler, upload_id: UploadId, *, force: bool = False) -> JobStatus | None:
    """Calls `handle` for a job until an attempt does not raise TryAgain. Returns the result of that attempt.

    Also returns None if the upload was deleted meanwhile.
    """
    while True:
        try:
            return await handle(Delivery(upload_id, force=force))
        except UnknownUpload:
            return None
        except TryAgain as error:
            log_retry(upload_id, error)
            await sleep(error.seconds)


def log_retry(upload_id: UploadId, error: TryAgain) -> None:
    log.warning("warm-up retry scheduled", upload=upload_id, error=str(error), retry_in=error.seconds)
