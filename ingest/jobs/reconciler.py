"""Makes sure that an accepted job ends, whatever the queue has forgotten. The database is the truth."""

import asyncio

import structlog

from ingest.catalog.repository import JobRepository
from ingest.jobs.queue.warm_up_queue import WarmUpQueue
from ingest.records import UNSEEN, Job, JobNotClaimable, JobStatus
from proxy.errors import Unavailable

log = structlog.get_logger()

_ROUND_SECONDS = 5.0


class Reconciler:
    """Runs until it is cancelled, in every process that has a worker; two at once do no harm."""

    def __init__(self, repository: JobRepository, queue: WarmUpQueue) -> None:
        self._repository = repository
        self._queue = queue

    async def run(self) -> None:
        while True:  # at once, then round by round: of workers that die young each does its share
            try:
                for job in await self._repository.overdue(UNSEEN):  # one that merely waits is none the worse for it
                    await self.reconcile(job)
            except Unavailable as error:
                log.warning("cannot reconcile jobs", error=str(error))
            except Exception:  # BullMQ raises plain ones; no job may depend on this loop having ended
                log.exception("unexpected error in reconciling jobs")
            await asyncio.sleep(_ROUND_SECONDS)

    async def reconcile(self, job: Job) -> None:
        """Publishes a job again, or ends it where the queue has given it up."""
        reason = await self._queue.gave_up(job.upload_id)
        if reason is None:
            await self._queue.publish(job.upload_id)
            return
        log.error("the queue gave a job up", upload=job.upload_id, reason=reason)
        try:
            if job.status is JobStatus.PENDING:
                await self._repository.advance(job.upload_id, expect=job.status, to=JobStatus.PROCESSING)
            await self._repository.advance(
                job.upload_id,
                expect=JobStatus.PROCESSING,
                to=JobStatus.FAILED,
                error="The warm-up was given up: it broke its worker several times.",
            )
        except JobNotClaimable:
            return
