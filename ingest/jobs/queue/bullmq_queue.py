"""Jobs through Redis, on BullMQ's queue `image-processing`: its dashboards and Node producers work with it.

The job's id is the upload's, so that a repeat is one job. Where Redis forgets, the reconciler publishes again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import structlog
from bullmq import Job, Queue, UnrecoverableError, Worker
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ingest.errors import CatalogUnavailable, QueueUnavailable
from ingest.jobs.queue.retries import DELAYS
from ingest.jobs.queue.warm_up_queue import Delivery, Handler, TryAgain
from ingest.records import JobStatus
from proxy.model import UploadId, parse_upload_id

log = structlog.get_logger()

QUEUE = "image-processing"
JOB_NAME = "warm-up"
ATTEMPTS = len(DELAYS) + 1

_OPTIONS: dict[str, Any] = {
    "attempts": ATTEMPTS,
    "backoff": {"type": "exponential", "delay": DELAYS[0] * 1000},
    "removeOnComplete": {"count": 1000},  # for dashboards; more would be Redis' memory for nothing
    "removeOnFail": {"count": 1000},
}
_RECOVERY: dict[str, Any] = {
    # A dead worker is found out after 5 seconds, not the default's 59 (docs/decisions/0008-bullmq.md). Decoding never
    # runs in this event loop, so the lock is renewed in time.
    "lockDuration": 5000,
    "maxStalledCount": 3,  # a picture that kills its worker each time is given up
    "runRetryDelay": 1000,
}
_STALLED_SECONDS = 2.0  # between looks for jobs whose lock has run out: at the second look one is taken over
_STATES = ("waiting", "active", "delayed", "failed")
_PATIENCE = 2.0  # seconds for publishing: an upload waits for it
_LAST_REPORT = 1.0  # seconds for telling of the progress that a job ended with
_NUDGE = 0.5  # seconds
_START_AGAIN = 1.0  # seconds until a worker that Redis turned away tries again
_BLOCKED = 12  # seconds; BullMQ's workers wait for a job in one command, for up to 10
_GRACE = 20.0  # seconds for jobs in hand when a worker stops; then they are handed back


class BullmqQueue:
    """`url` as in `REDIS_URL`."""

    def __init__(self, url: str, *, stalled_seconds: float = _STALLED_SECONDS) -> None:
        self._url = url
        self._recovery = {**_RECOVERY, "stalledInterval": int(stalled_seconds * 1000)}
        # Of our own making: BullMQ's connections try for minutes, and an upload waits for `publish`. Without redis-py's
        # time-out, which can lose a cancellation (see `RedisLeaseStore`): `_PATIENCE` is the deadline.
        self._redis = Redis.from_url(url, decode_responses=True, socket_timeout=None, retry=Retry(NoBackoff(), 1))
        self._queue = Queue(QUEUE, {"connection": self._redis})

    async def publish(self, upload_id: UploadId) -> None:
        async with _translated():
            # One that has ended is kept for dashboards, and would hide this one.
            if await self._queue.getJobState(upload_id) in ("completed", "failed"):
                await self._queue.remove(upload_id)
            await self._queue.add(JOB_NAME, {"uploadId": upload_id}, {"jobId": upload_id, **_OPTIONS})

    async def gave_up(self, upload_id: UploadId) -> str | None:
        async with _translated():
            job = await self._queue.getJob(upload_id)
            failed = job is not None and await self._queue.getJobState(upload_id) == "failed"
        # One that failed otherwise and has not ended in the database failed for want of it: that passes.
        broke = failed and job.stalledCounter > _RECOVERY["maxStalledCount"]
        return (job.failedReason or "The queue gave the job up.") if broke else None

    async def lengths(self) -> dict[str, int]:
        async with _translated():
            return dict(await self._queue.getJobCounts(*_STATES))

    async def consume(self, handle: Handler, concurrency: int) -> None:
        while True:
            try:
                await self._consume(handle, concurrency)
            except (RedisError, OSError) as error:  # BullMQ has given up; we do not
                _log_error(error)
            await asyncio.sleep(_START_AGAIN)

    async def _consume(self, handle: Handler, concurrency: int) -> None:
        async def process(job: Job, _token: str) -> str | None:
            return await _process(handle, job)

        options = {
            "connection": for_blocking(self._url),
            "concurrency": concurrency,
            "autorun": False,
            **self._recovery,
        }
        worker = Worker(QUEUE, process, options)
        worker.on("error", _log_error)
        running = asyncio.create_task(worker.run())
        try:
            await asyncio.shield(running)
        finally:
            await _close(worker)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def close(self) -> None:
        await self._queue.close()
        await self._redis.aclose()


def for_blocking(url: str) -> str:
    """`url` for a connection that waits: redis-py ends a command after 5 seconds, so idle workers kept reconnecting."""
    return f"{url}{'&' if '?' in url else '?'}socket_timeout={_BLOCKED}"


async def _close(worker: Worker) -> None:
    """Lets jobs in hand finish, for a while.

    BullMQ's own `close` waits however long they take, and is not to be cancelled. It ends the wait for a next job, but
    not one that begins in the same moment: hence the nudges.
    """
    closing = asyncio.create_task(worker.close())
    deadline = monotonic() + _GRACE
    while monotonic() < deadline:
        await asyncio.wait([closing], timeout=_NUDGE)
        if closing.done():
            return
        if worker.waiting is not None:
            worker.waiting.cancel()
    await worker.close(force=True)
    await closing


async def _process(handle: Handler, job: Job) -> str | None:
    """BullMQ knows three ends: a result, an error to try again after, and one that is final."""
    upload_id = parse_upload_id(str(job.id))
    if upload_id is None:
        raise UnrecoverableError("the job's id is not an upload's")

    reports = _Reports(job)
    final_attempt = job.attemptsMade + 1 >= (job.opts or {}).get("attempts", 1)
    try:
        status = await handle(Delivery(upload_id, final_attempt=final_attempt, exclusive=True, report=reports.add))
    except (TryAgain, CatalogUnavailable) as error:
        raise RuntimeError(str(error)) from error
    finally:
        await reports.close()
    if status is JobStatus.FAILED:
        raise UnrecoverableError("the warm-up failed; the upload's status says why")
    return status


class _Reports:
    """Tells BullMQ a job's progress beside the work, which must neither wait for a Redis that is away nor fail for one
    that has forgotten the job. The database has it anyway.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._progress = 0
        self._sending: asyncio.Task[None] | None = None

    async def add(self, progress: int) -> None:
        self._progress = progress
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_LAST_REPORT)
            self._sending.cancel()

    async def _send(self) -> None:
        sent = None
        with suppress(Exception):  # BullMQ raises plain ones
            while sent != self._progress:
                sent = self._progress
                await self._job.updateProgress(sent)


def _log_error(error: Exception, *_job: Any) -> None:
    log.warning("the queue complains", error=str(error) or repr(error))


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise QueueUnavailable(f"Redis does not answer as it should: {reason}.") from error
