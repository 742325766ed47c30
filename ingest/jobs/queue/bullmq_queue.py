"""Jobs in Redis, in BullMQ's queue `image-processing`, so BullMQ dashboards and Node producers work with it.

The job id is the upload id, so publishing twice creates one job. The reconciler republishes jobs that Redis has lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic, time
from typing import Any

import structlog
from bullmq import DelayedError, Job, Queue, UnrecoverableError, Worker
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.redis_errors import translated
from ingest.jobs.queue.warm_up_queue import ATTEMPTS, DELAYS, Delivery, Handler, TryAgain
from ingest.records import JobStatus
from proxy.errors import UnknownUpload
from proxy.model import UploadId, parse_upload_id

log = structlog.get_logger()

QUEUE = "image-processing"
JOB_NAME = "warm-up"

_OPTIONS: dict[str, Any] = {
    "attempts": ATTEMPTS,
    "backoff": {"type": "exponential", "delay": DELAYS[0] * 1000},
    "removeOnComplete": {"count": 1000},  # for dashboards; keeping more would waste Redis memory
    "removeOnFail": {"count": 1000},
}
_RECOVERY: dict[str, Any] = {
    # Detects a dead worker after 5 seconds, not the default 59 (docs/decisions/0008-bullmq.md). Decoding never runs in
    # this event loop, so the lock is renewed in time.
    "lockDuration": 5000,
    "maxStalledCount": 3,  # then a job that keeps killing its worker fails
    "runRetryDelay": 1000,
}
_STALLED_SECONDS = 2.0  # between checks for jobs with an expired lock; the second check takes a job over
_STATES = ("waiting", "active", "delayed", "failed")
_PUBLISH_TIMEOUT = 2.0  # seconds: an upload waits for it
_REPORT_TIMEOUT = 1.0  # seconds for reporting the final progress of a job
_CANCEL_INTERVAL = 0.5  # seconds
_RESTART_DELAY = 1.0  # seconds until a worker that Redis rejected tries again
_BLOCKING_TIMEOUT = 12  # seconds; BullMQ's workers block in one command for up to 10
_FOREIGN_DELAY = 10.0  # seconds until a job of another installation is offered again
_WARNING_INTERVAL = 60.0  # seconds
_NEWEST = 100  # jobs of each state that are looked at for their installation
_RECENT = 86_400.0  # seconds; older jobs may be of an installation that no longer uses the queue
_GRACE = 20.0  # seconds for a stopping worker to finish its jobs, which are then handed back


class BullmqQueue:
    """The WarmUpQueue in Redis. `url`: as in `REDIS_URL`.

    `prefix`: begins the queue's keys. `installation_id`: marks jobs, so that a worker leaves those of another
    installation on the same Redis. `stalled_seconds`: between checks for stalled jobs.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "bull",
        installation_id: Callable[[], Awaitable[str]],
        stalled_seconds: float = _STALLED_SECONDS,
    ) -> None:
        self._url = url
        self._prefix = prefix
        self._installation_id = installation_id
        self._last_warning = ("", 0.0)
        self._recovery = {**_RECOVERY, "stalledInterval": int(stalled_seconds * 1000)}
        # Not BullMQ's own connection, which retries for minutes while an upload waits for `publish`. redis-py's timeout
        # is off because it can lose a cancellation (see `RedisLeaseStore`): `_PUBLISH_TIMEOUT` is the deadline.
        self._redis = Redis.from_url(url, decode_responses=True, socket_timeout=None, retry=Retry(NoBackoff(), 1))
        self._queue = Queue(QUEUE, {"connection": self._redis, "prefix": prefix})

    async def publish(self, upload_id: UploadId) -> None:
        installation_id = await self._installation_id()
        async with translated(_PUBLISH_TIMEOUT):
            # An ended job with this id is kept for dashboards. Adding would be ignored while it exists.
            if await self._queue.getJobState(upload_id) in ("completed", "failed"):
                await self._queue.remove(upload_id)
            data = {"uploadId": upload_id, "installation": installation_id}
            await self._queue.add(JOB_NAME, data, {"jobId": upload_id, **_OPTIONS})

    async def failure_reason(self, upload_id: UploadId) -> str | None:
        async with translated(_PUBLISH_TIMEOUT):
            job = await self._queue.getJob(upload_id)
            failed = job is not None and await self._queue.getJobState(upload_id) == "failed"
        # A job that failed for another reason, but is unfinished in the database, met an outage of the database: a new
        # attempt may succeed.
        has_stalled = failed and job.stalledCounter > _RECOVERY["maxStalledCount"]
        return (job.failedReason or "The job stalled too often.") if has_stalled else None

    async def lengths(self) -> dict[str, int]:
        async with translated(_PUBLISH_TIMEOUT):
            return dict(await self._queue.getJobCounts(*_STATES))

    async def installations(self) -> frozenset[str]:
        """Returns the ids of the installations that have put jobs into this queue today. Raises QueueUnavailable.

        Looks at the newest 100 jobs of each state. Jobs of other producers name no installation.
        """
        async with translated(_PUBLISH_TIMEOUT):
            jobs = await self._queue.getJobs([*_STATES, "completed"], 0, _NEWEST - 1)
        since = (time() - _RECENT) * 1000
        return frozenset(str(owner) for job in jobs if job.timestamp > since and (owner := _owner(job)) is not None)

    async def consume(self, handle: Handler, concurrency: int) -> None:
        while True:
            try:
                await self._consume(handle, concurrency)
            except (RedisError, OSError) as error:  # BullMQ stops the worker on these
                self._warn_of_redis(error)
            await asyncio.sleep(_RESTART_DELAY)

    async def _consume(self, handle: Handler, concurrency: int) -> None:
        async def process(job: Job, token: str) -> str | None:
            await self._leave_foreign(job, token)
            return await _process(handle, job)

        options = {
            "connection": for_blocking(self._url),
            "prefix": self._prefix,
            "concurrency": concurrency,
            "autorun": False,
            **self._recovery,
        }
        worker = Worker(QUEUE, process, options)
        worker.on("error", self._warn_of_redis)
        running = asyncio.create_task(worker.run())
        try:
            await asyncio.shield(running)
        finally:
            try:
                await _close(worker)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def close(self) -> None:
        try:
            await self._queue.close()
        finally:
            await self._redis.aclose()

    async def _leave_foreign(self, job: Job, token: str) -> None:
        """Returns a job of another installation to the queue. Jobs of other producers name no installation."""
        owner = _owner(job)
        if owner in (None, await self._installation_id()):
            return
        self._warn(
            "job of another installation skipped, QUEUE_PREFIX is shared", f"job {job.id} of installation {owner}"
        )
        await job.moveToDelayed(int((time() + _FOREIGN_DELAY) * 1000), token)
        raise DelayedError

    def _warn_of_redis(self, error: Exception, *_job: Any) -> None:
        self._warn("Redis queue error, jobs delayed", str(error) or repr(error))

    def _warn(self, event: str, error: str) -> None:
        """Logs an error, but the same one only once a minute: BullMQ repeats it ten times a second."""
        last, since = self._last_warning
        if error != last or monotonic() > since + _WARNING_INTERVAL:
            self._last_warning = error, monotonic()
            log.warning(event, error=error)


def for_blocking(url: str) -> str:
    """Returns `url` with a longer socket timeout: redis-py's 5 seconds make idle workers reconnect all the time."""
    return f"{url}{'&' if '?' in url else '?'}socket_timeout={_BLOCKING_TIMEOUT}"


def _owner(job: Job) -> Any:
    return job.data.get("installation") if isinstance(job.data, dict) else None


async def _close(worker: Worker) -> None:
    """Waits up to `_GRACE` seconds for running jobs, then closes by force.

    BullMQ's `close` has no time limit and cannot be cancelled. It ends a wait for the next job, but misses one that
    begins at the same moment. So this cancels such waits until the worker is closed.
    """
    closing = asyncio.create_task(worker.close())
    deadline = monotonic() + _GRACE
    while monotonic() < deadline:
        await asyncio.wait([closing], timeout=_CANCEL_INTERVAL)
        if closing.done():
            return
        if worker.waiting is not None:
            worker.waiting.cancel()
    await worker.close(force=True)
    await closing


async def _process(handle: Handler, job: Job) -> str | None:
    """Runs one job and translates the outcome to BullMQ's: a result, a retryable error or a final error."""
    named = job.data.get("uploadId") if isinstance(job.data, dict) else None
    upload_id = parse_upload_id(str(job.id)) or parse_upload_id(str(named))
    if upload_id is None:
        raise UnrecoverableError("neither the job id nor data.uploadId is an upload id")

    reporter = _ProgressReporter(job)
    final_attempt = job.attemptsMade + 1 >= (job.opts or {}).get("attempts", 1)
    try:
        # If the job's id is not the upload id, Redis may hold another job for this upload.
        exclusive = job.id == upload_id
        status = await handle(
            Delivery(upload_id, final_attempt=final_attempt, exclusive=exclusive, report=reporter.report)
        )
    except UnknownUpload as error:
        raise UnrecoverableError(str(error)) from error
    except (TryAgain, CatalogUnavailable) as error:
        log.warning("warm-up retry scheduled", upload=upload_id, error=str(error))
        raise RuntimeError(str(error)) from error
    finally:
        await reporter.close()
    if status is JobStatus.FAILED:
        raise UnrecoverableError("the warm-up failed; the upload's status says why")
    return status


class _ProgressReporter:
    """Reports a job's progress to BullMQ in the background and ignores failures.

    The work must neither wait for an unavailable Redis nor fail because Redis lost the job. The database has the
    progress anyway.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._progress = 0
        self._sending: asyncio.Task[None] | None = None

    async def report(self, progress: int) -> None:
        self._progress = progress
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_REPORT_TIMEOUT)
            self._sending.cancel()

    async def _send(self) -> None:
        sent = None
        with suppress(Exception):  # BullMQ raises plain exceptions
            while sent != self._progress:
                sent = self._progress
                await self._job.updateProgress(sent)
