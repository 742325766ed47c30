"""Republishes unfinished jobs that the queue has lost. The database is the source of truth."""

import asyncio

import structlog

from ingest.catalog.repository import PAGE, JobRepository
from ingest.jobs.queue.warm_up_queue import WarmUpQueue
from ingest.jobs.warm_up import WORKER_CRASHED
from ingest.records import Job, JobNotClaimable, JobStatus
from proxy.errors import Unavailable

log = structlog.get_logger()

_ROUND_SECONDS = 5.0


class Reconciler:
    """Republishes stalled jobs. Every process with a worker runs one; several at once are safe."""

    def __init__(self, repository: JobRepository, queue: WarmUpQueue) -> None:
        self._repository = repository
        self._queue = queue
        self._last: dict[JobStatus, Job | None] = {JobStatus.PROCESSING: None, JobStatus.PENDING: None}

    async def run(self) -> None:
        """Reconciles jobs, now and every few seconds, until cancelled."""
        while True:  # the first round is immediate, so that even a process that crashes early runs one
            try:
                for status in self._last:
                    await self._reconcile_page(status)
            except Unavailable as error:
                log.warning("republishing of stalled jobs failed", error=str(error), retry_in=_ROUND_SECONDS)
            except Exception:  # this loop must not end
                log.exception("unhandled error while republishing stalled jobs")
            await asyncio.sleep(_ROUND_SECONDS)

    async def _reconcile_page(self, status: JobStatus) -> None:
        """Reconciles the next page of stalled jobs, so that jobs that stay unfinished do not hide the others."""
        jobs = await self._repository.find_stalled(status, self._last[status])
        self._last[status] = jobs[-1] if len(jobs) == PAGE else None
        for job in jobs:  # republishing a waiting job is harmless
            await self._try_to_reconcile(job)

    async def _try_to_reconcile(self, job: Job) -> None:
        """Reconciles a job. Only logs an error that is about this job alone. Raises Unavailable."""
        try:
            await self.reconcile(job)
        except Unavailable:  # the other jobs would fail, too
            raise
        except Exception:  # BullMQ raises plain exceptions
            log.exception("unhandled error while republishing a job", upload=job.upload_id)

    async def reconcile(self, job: Job) -> None:
        """Republishes a job, or marks it failed if the queue will not deliver it again."""
        reason = await self._queue.failure_reason(job.upload_id)
        if reason is None:
            await self._queue.publish(job.upload_id)
            return
        log.error("job failed, given up by the queue", upload=job.upload_id, reason=reason)
        try:
            if job.status is JobStatus.PENDING:
                await self._repository.advance(job.upload_id, expect=job.status, to=JobStatus.PROCESSING)
            await self._repository.advance(
                job.upload_id,
                expect=JobStatus.PROCESSING,
                to=JobStatus.FAILED,
                error=WORKER_CRASHED,
            )
        except JobNotClaimable:
            return
