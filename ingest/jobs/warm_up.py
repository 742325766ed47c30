"""One upload's warm-up: every standard variant ensured, and how far it has come."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace

import structlog
from structlog.contextvars import bound_contextvars

from ingest.catalog.repository import JobRepository
from ingest.errors import CatalogUnavailable
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import Job, JobNotClaimable, JobStatus, Upload, VariantState, WarmedVariant
from proxy.errors import ServiceError, Unavailable, UnknownUpload
from proxy.keys import variant_path
from proxy.model import Sizes, UploadId, Variant
from proxy.telemetry.logging import REQUEST
from proxy.telemetry.tracing import Tracing
from proxy.variants.results import Ensured
from proxy.variants.variant_service import VariantService

log = structlog.get_logger()

_UNEXPECTED = "An unexpected error; it was logged."
_CATALOG_DELAY = 1  # seconds between attempts to write down what is done


class WarmUp:
    """Takes a job from where it is to its end, `complete` or `failed`."""

    def __init__(
        self, repository: JobRepository, variant_service: VariantService, sizes: Sizes, tracing: Tracing | None = None
    ) -> None:
        self._repository = repository
        self._variant_service = variant_service
        self._sizes = sizes
        self._tracing = tracing or Tracing()

    async def run(self, delivery: Delivery) -> JobStatus | None:
        """The status it ended with, or None if the job was not to be had: ended, taken by another, or deleted.

        Raises TryAgain where another try may succeed and the delivery is not the last; cancelled, it hands the job
        back likewise. Raises CatalogUnavailable only before it has begun.
        """
        try:
            upload, job = await self._claim(delivery)
        except (JobNotClaimable, UnknownUpload):
            return None
        except CatalogUnavailable:
            raise
        except Exception:  # a defect of ours, or a row of another version; left pending, it would be offered for ever
            log.exception("a job that cannot be begun", upload=delivery.upload_id)
            return await self._end_unbegun(delivery.upload_id)
        with (
            bound_contextvars(**{REQUEST: job.trace_context.request_id} if job.trace_context.request_id else {}),
            # What an operator begins is no part of what happened when the picture came.
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
            error = await self._ensure_all(upload, job, delivery)
            to = JobStatus.FAILED if error else JobStatus.COMPLETE
            await _until_written(lambda: self._end(upload.upload_id, to, error))
        except JobNotClaimable:
            return None
        except (TryAgain, asyncio.CancelledError):
            with suppress(JobNotClaimable, CatalogUnavailable):
                await self._end(upload.upload_id, JobStatus.PENDING)
            raise
        return to

    async def _claim(self, delivery: Delivery) -> tuple[Upload, Job]:
        upload, job = await self._repository.find(delivery.upload_id)
        claimable = {JobStatus.PENDING}
        if delivery.exclusive or (delivery.force and job.unseen):  # whoever had it is dead
            claimable.add(JobStatus.PROCESSING)
        if delivery.force:
            claimable |= {JobStatus.COMPLETE, JobStatus.FAILED}
        if job.status not in claimable:
            raise JobNotClaimable(delivery.upload_id)
        if job.status.ended:  # begins from the start
            job = replace(job, progress=0)
        await self._repository.advance(job.upload_id, expect=job.status, to=JobStatus.PROCESSING, progress=job.progress)
        return upload, job

    async def _end_unbegun(self, upload_id: UploadId) -> JobStatus | None:
        try:
            with suppress(JobNotClaimable):
                await self._repository.advance(upload_id, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
            await self._end(upload_id, JobStatus.FAILED, _UNEXPECTED)
        except JobNotClaimable:
            return None
        return JobStatus.FAILED

    async def _ensure_all(self, upload: Upload, job: Job, delivery: Delivery) -> str | None:
        """None, or why it failed for good."""
        known = self._known(upload)
        # What an earlier try of this job has stored is its own, too; not what an operator's run finds.
        made = [] if delivery.force else [v for v in self._sizes.standard if known[v.name].state is VariantState.STORED]
        try:
            await self._ensure(upload, job, made, delivery.report)
        except ServiceError as error:
            if error.retryable and not delivery.final_attempt:
                raise TryAgain(str(error)) from error
            return await self._give_up(upload, made, str(error))
        except JobNotClaimable:
            raise
        except Exception:  # a defect of ours; an accepted job ends all the same
            log.exception("unexpected error in a warm-up", upload=upload.upload_id)
            return await self._give_up(upload, made, _UNEXPECTED)
        return None

    async def _give_up(self, upload: Upload, made: list[Variant], error: str) -> str:
        """Removes what this run has stored: a failed job leaves no partial output."""
        log.error("warm-up failed", upload=upload.upload_id, error=error)
        if made:
            with suppress(Unavailable):
                await self._variant_service.delete(upload.upload_id, *made)
        fresh = waiting(upload.upload_id, self._sizes)
        left = self._known(upload) | {variant.name: fresh[variant.name] for variant in made}
        await self._record(upload.upload_id, 0, left)
        return error

    async def _ensure(
        self, upload: Upload, job: Job, made: list[Variant], report: Callable[[int], Awaitable[None]]
    ) -> None:
        standard = self._sizes.standard
        variants = self._known(upload)
        done = 0
        async with aclosing(self._variant_service.ensure(upload.upload_id, standard)) as ensured:
            async for one in ensured:
                done += 1
                known = variants[one.variant.name]
                variants[one.variant.name] = _warmed(known, one)
                if one.seconds is not None:
                    made.append(one.variant)
                elif known == variants[one.variant.name] and done < len(standard):
                    continue  # nothing to write down: thousands of such uploads are looked through in one run
                progress = max(job.progress, 100 * done // len(standard))  # another try repeats what it finds stored
                await self._record(upload.upload_id, progress, variants)
                await report(progress)

    def _known(self, upload: Upload) -> dict[str, WarmedVariant]:
        """Today's standard variants, as far as the catalogue knows them."""
        fresh = waiting(upload.upload_id, self._sizes)
        return {name: upload.variants.get(name, fresh[name]) for name in fresh}

    async def _record(self, upload_id: UploadId, progress: int, variants: dict[str, WarmedVariant]) -> None:
        await _until_written(lambda: self._repository.record(upload_id, progress, variants))

    async def _end(self, upload_id: UploadId, to: JobStatus, error: str | None = None) -> None:
        await self._repository.advance(upload_id, expect=JobStatus.PROCESSING, to=to, error=error)


def waiting(upload_id: UploadId, sizes: Sizes) -> dict[str, WarmedVariant]:
    """Every standard variant, by name, not warmed yet."""
    return {variant.name: WarmedVariant(variant_path(upload_id, variant)) for variant in sizes.standard}


def _warmed(known: WarmedVariant, ensured: Ensured) -> WarmedVariant:
    """The variant as stored. Of one that was there already, the time it took is what was known of it."""
    milliseconds = known.milliseconds if ensured.seconds is None else round(ensured.seconds * 1000, 1)
    quality, score = (ensured.measured.quality, ensured.measured.score) if ensured.measured else (None, None)
    return WarmedVariant(known.url, VariantState.STORED, ensured.size, milliseconds, quality, score)


async def _until_written(write: Callable[[], Awaitable[None]]) -> None:
    """The work is done; while the database is away, its result waits here."""
    while True:
        try:
            return await write()
        except CatalogUnavailable as error:
            log.warning("cannot record a job", error=str(error))
            await asyncio.sleep(_CATALOG_DELAY)
