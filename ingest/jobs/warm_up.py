"""The warm-up of one upload: derives every standard variant that is not stored, and records the progress."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from itertools import repeat
from uuid import uuid4

import structlog
from structlog.contextvars import bound_contextvars

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.heartbeats import sending_heartbeats
from ingest.jobs.queue.warm_up_queue import ATTEMPTS, DELAYS, Delivery, TryAgain
from ingest.offered_sizes import standard_variants_of
from ingest.records import Job, JobNotClaimable, JobStatus, Upload, VariantState, WarmedVariant
from proxy.errors import ServiceError, Unavailable, UnknownUpload
from proxy.keys import variant_path
from proxy.model import Sizes, UploadId, Variant
from proxy.retries import Attempts, randomise
from proxy.telemetry.logging import REQUEST
from proxy.telemetry.tracing import Tracing
from proxy.variants.results import Ensured
from proxy.variants.variant_service import VariantService

log = structlog.get_logger()

WORKER_CRASHED = "The warm-up was stopped: its worker crashed several times."
_UNEXPECTED = "An unexpected error occurred. It was logged."
_CATALOG_DELAY = 1  # seconds between attempts to record a result


class WarmUp:
    """Derives the standard variants of uploads: runs each job until it is `complete` or `failed`."""

    def __init__(
        self, repository: JobRepository, variant_service: VariantService, sizes: Sizes, tracing: Tracing | None = None
    ) -> None:
        self._repository = repository
        self._variant_service = variant_service
        self._sizes = sizes
        self._tracing = tracing or Tracing()

    async def run(self, delivery: Delivery) -> JobStatus | None:
        """Runs one job and returns its final status, None if the job was not claimable or was deleted meanwhile.

        Raises TryAgain if another attempt may succeed and this is not the final one; the job is then pending again, as
        after a cancellation. Raises UnknownUpload and CatalogUnavailable only before the job has begun.
        """
        try:
            upload, job = await self._claim(delivery)
        except JobNotClaimable:
            return None
        except (CatalogUnavailable, UnknownUpload):
            raise
        except Exception:  # for instance a row of another version; left pending, it would be delivered forever
            log.exception("unhandled error while claiming a job", upload=delivery.upload_id)
            return await self._fail_unclaimed(delivery)
        with (
            bound_contextvars(**{REQUEST: job.trace_context.request_id} if job.trace_context.request_id else {}),
            # A run that an operator started is not part of the upload's trace.
            self._tracing.begin(
                "warm-up", None if delivery.force else job.trace_context.traceparent, "consumer"
            ) as span,
        ):
            span["darkroom.upload"] = upload.upload_id
            status = await self._run(upload, job, delivery)
            if status:
                log.info("warm-up ended", upload=upload.upload_id, status=status)
                span["darkroom.status"] = status.value
            return status

    async def _run(self, upload: Upload, job: Job, delivery: Delivery) -> JobStatus | None:
        try:
            async with sending_heartbeats(lambda: self._send_heartbeat(job)):
                error = await self._ensure_all(upload, job, delivery)
            to = JobStatus.FAILED if error else JobStatus.COMPLETE
            await _write_with_retries(job.upload_id, lambda: self._end(job, to, error))
        except JobNotClaimable:
            return None
        except (TryAgain, asyncio.CancelledError) as reason:
            with suppress(JobNotClaimable, CatalogUnavailable):
                retry_in = reason.seconds if isinstance(reason, TryAgain) else None
                await self._end(job, JobStatus.PENDING, retry_in=retry_in)
            raise
        return to

    async def _claim(self, delivery: Delivery) -> tuple[Upload, Job]:
        upload, job = await self._repository.find(delivery.upload_id)
        claimable = {JobStatus.PENDING}
        if delivery.exclusive or (delivery.force and job.is_stalled):  # its worker is dead
            claimable.add(JobStatus.PROCESSING)
        if delivery.force:
            claimable |= {JobStatus.COMPLETE, JobStatus.FAILED}
        if job.status not in claimable:
            raise JobNotClaimable(delivery.upload_id)
        progress = 0 if job.status.has_ended else job.progress  # an ended job starts over
        worker = uuid4().hex
        attempts = await self._repository.advance(
            job.upload_id, expect=job.status, to=JobStatus.PROCESSING, progress=progress, worker=worker
        )
        return upload, replace(job, progress=progress, worker=worker, attempts=attempts)

    async def _fail_unclaimed(self, delivery: Delivery) -> JobStatus | None:
        worker = uuid4().hex
        advance = partial(self._repository.advance, delivery.upload_id, worker=worker)
        try:
            try:
                await advance(expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
            except JobNotClaimable:
                if not delivery.exclusive:
                    raise
                await advance(expect=JobStatus.PROCESSING, to=JobStatus.PROCESSING)
            await advance(expect=JobStatus.PROCESSING, to=JobStatus.FAILED, error=_UNEXPECTED)
        except JobNotClaimable:
            return None
        return JobStatus.FAILED

    async def _ensure_all(self, upload: Upload, job: Job, delivery: Delivery) -> str | None:
        """Derives missing standard variants. Returns None, or the reason of a final failure. Raises TryAgain."""
        # Variants stored by an earlier attempt belong to this job, too; those that a forced run finds do not.
        made = [] if delivery.force else [*self._stored(upload)]
        if job.attempts > ATTEMPTS:
            return await self._give_up(upload, job, made, WORKER_CRASHED)
        try:
            await self._ensure(upload, job, made, delivery.report)
        except ServiceError as error:
            if error.retryable and not delivery.final_attempt and job.attempts < ATTEMPTS:
                raise TryAgain(str(error), randomise(DELAYS[job.attempts - 1])) from error
            return await self._give_up(upload, job, made, str(error))
        except JobNotClaimable:
            raise
        except Exception:  # an accepted job must end, whatever happens
            log.exception("unhandled error in warm-up", upload=upload.upload_id)
            return await self._give_up(upload, job, made, _UNEXPECTED)
        return None

    async def _give_up(self, upload: Upload, job: Job, made: list[Variant], error: str) -> str:
        """Removes the variants that this job stored, so a failed job leaves no partial output. Returns `error`.

        Raises JobNotClaimable, and removes nothing, if another worker has taken over the job.
        """
        await _write_with_retries(job.upload_id, lambda: self._send_heartbeat(job))
        log.error("warm-up failed", upload=upload.upload_id, error=error)
        if made:
            with suppress(Unavailable):
                await self._variant_service.delete_variants(upload.upload_id, *made)
        await self._record(job, 0, self._known(upload, removed=made))
        return error

    async def _ensure(
        self, upload: Upload, job: Job, made: list[Variant], report: Callable[[int], Awaitable[None]]
    ) -> None:
        standard = self._standard(upload)
        variants = self._known(upload)
        done = 0
        if not standard:  # no result follows that would record the progress
            await self._record(job, 100, variants)
        async with aclosing(self._variant_service.ensure(upload.upload_id, standard)) as ensured:
            async for one in ensured:
                done += 1
                known = variants[one.variant.name]
                variants[one.variant.name] = _warmed(known, one)
                if one.seconds is not None:
                    made.append(one.variant)
                elif known == variants[one.variant.name] and done < len(standard):
                    continue  # nothing new to record; a run over all uploads meets thousands of these
                progress = max(job.progress, 100 * done // len(standard))  # a retry counts stored variants again
                await self._record(job, progress, variants)
                await report(progress)

    def _known(self, upload: Upload, removed: Sequence[Variant] = ()) -> dict[str, WarmedVariant]:
        """Returns what the catalog records about the standard variants, and others that warm-ups stored earlier."""
        stored = {one.name: known for one, known in self._stored(upload).items() if one not in removed}
        return waiting_variants(upload.upload_id, self._standard(upload)) | stored

    def _standard(self, upload: Upload) -> Sequence[Variant]:
        return standard_variants_of(self._sizes, upload)

    def _stored(self, upload: Upload) -> dict[Variant, WarmedVariant]:
        """Returns variants of the current sizes that warm-ups stored, also those that are not standard any more."""
        return {
            variant: known
            for name, known in upload.variants.items()
            if known.state is VariantState.STORED and (variant := self._sizes.parse(name, upload.visibility))
        }

    async def _record(self, job: Job, progress: int, variants: dict[str, WarmedVariant]) -> None:
        await _write_with_retries(
            job.upload_id, lambda: self._repository.record(job.upload_id, progress, variants, job.worker)
        )

    async def _end(self, job: Job, to: JobStatus, error: str | None = None, *, retry_in: float | None = None) -> None:
        await self._repository.advance(
            job.upload_id,
            expect=JobStatus.PROCESSING,
            to=to,
            error=error,
            worker=job.worker,
            retry_in=retry_in,
            sends_webhook=to is not job.status,  # `job` has the status before this run
        )

    async def _send_heartbeat(self, job: Job) -> None:
        assert job.worker
        await self._repository.record_heartbeat(job.upload_id, job.worker)


def waiting_variants(upload_id: UploadId, variants: Sequence[Variant]) -> dict[str, WarmedVariant]:
    """Returns `variants` as waiting, by name."""
    return {variant.name: WarmedVariant(variant_path(upload_id, variant)) for variant in variants}


def _warmed(known: WarmedVariant, ensured: Ensured) -> WarmedVariant:
    """Returns the variant as stored. A variant that was stored already keeps its recorded derivation time."""
    milliseconds = known.milliseconds if ensured.seconds is None else round(ensured.seconds * 1000, 1)
    quality, score = (ensured.measured.quality, ensured.measured.score) if ensured.measured else (None, None)
    return WarmedVariant(known.url, VariantState.STORED, ensured.size, milliseconds, quality, score)


async def _write_with_retries(upload_id: UploadId, write: Callable[[], Awaitable[None]]) -> None:
    """Retries `write` until the database accepts it, so finished work is not lost."""
    async for retry_in in Attempts(repeat(_CATALOG_DELAY)):
        try:
            await write()
        except CatalogUnavailable as error:
            log.warning("job update failed", upload=upload_id, error=str(error), retry_in=retry_in)
        else:
            return
