"""One upload's warm-up: every standard variant ensured, and how far it has come."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace

import structlog

from ingest.catalog.repository import JobRepository
from ingest.jobs import Image, JobStatus, LostJob, VariantState, WarmedVariant
from ingest.queue.base import Delivery, TryAgain
from proxy.derivation.service import Derivations, Ensured
from proxy.errors import CatalogUnavailable, ServiceError, Unavailable, UnknownUpload
from proxy.keys import variant_path
from proxy.model import Sizes, UploadId, Variant

log = structlog.get_logger()

_CATALOG_DELAY = 1  # seconds between attempts to write down what is done


class WarmUp:
    """Takes a job from where it is to its end, `complete` or `failed`."""

    def __init__(self, repository: JobRepository, derivations: Derivations, sizes: Sizes) -> None:
        self._repository = repository
        self._derivations = derivations
        self._sizes = sizes

    async def run(self, delivery: Delivery) -> JobStatus | None:
        """The status it ended with, or None if the job was not to be had: ended, taken by another, or deleted.

        Raises TryAgain where another try may succeed and the delivery is not the last; cancelled, it hands the job
        back likewise. Raises CatalogUnavailable only before it has begun.
        """
        try:
            image = await self._claim(delivery)
            error = await self._ensure_all(image, delivery)
            to = JobStatus.FAILED if error else JobStatus.COMPLETE
            await _until_written(lambda: self._end(image.upload_id, to, error))
        except (LostJob, UnknownUpload):
            return None
        except (TryAgain, asyncio.CancelledError):
            with suppress(LostJob, CatalogUnavailable):
                await self._end(delivery.upload_id, JobStatus.PENDING)
            raise
        return to

    async def _claim(self, delivery: Delivery) -> Image:
        image, job = await self._repository.find(delivery.upload_id)
        claimable = {JobStatus.PENDING}
        if delivery.alone:
            claimable.add(JobStatus.PROCESSING)
        if delivery.again:
            claimable |= {JobStatus.COMPLETE, JobStatus.FAILED}
        if job.status not in claimable:
            raise LostJob(delivery.upload_id)
        await self._repository.advance(job.upload_id, expect=job.status, to=JobStatus.PROCESSING, progress=0)
        return image

    async def _ensure_all(self, image: Image, delivery: Delivery) -> str | None:
        """None, or why it failed for good."""
        made: list[Variant] = []
        try:
            await self._ensure(image, made, delivery.report)
        except UnknownUpload:
            raise
        except ServiceError as error:
            if error.retryable and not delivery.last:
                raise TryAgain(str(error)) from error
            return await self._give_up(image, made, str(error))
        except LostJob:
            raise
        except Exception:  # a defect of ours; an accepted job ends all the same
            log.exception("unexpected error in a warm-up", upload=image.upload_id)
            return await self._give_up(image, made, "An unexpected error; it was logged.")
        return None

    async def _give_up(self, image: Image, made: list[Variant], error: str) -> str:
        """Removes what this run has stored: a failed job leaves no partial output."""
        log.error("warm-up failed", upload=image.upload_id, error=error)
        if made:
            with suppress(Unavailable):
                await self._derivations.delete(image.upload_id, *made)
        await self._record(image.upload_id, 0, waiting(image.upload_id, self._sizes))
        return error

    async def _ensure(self, image: Image, made: list[Variant], report: Callable[[int], Awaitable[None]]) -> None:
        standard = self._sizes.standard
        variants = waiting(image.upload_id, self._sizes)
        done = 0
        async with aclosing(self._derivations.ensure(image.upload_id, standard)) as ensured:
            async for one in ensured:
                if one.seconds is not None:
                    made.append(one.variant)
                known = image.variants.get(one.variant.name)
                variants[one.variant.name] = _warmed(variants[one.variant.name], one, known)
                done += 1
                progress = 100 * done // len(standard)
                await self._record(image.upload_id, progress, variants)
                await report(progress)

    async def _record(self, upload_id: UploadId, progress: int, variants: dict[str, WarmedVariant]) -> None:
        await _until_written(lambda: self._repository.record(upload_id, progress, variants))

    async def _end(self, upload_id: UploadId, to: JobStatus, error: str | None = None) -> None:
        await self._repository.advance(upload_id, expect=JobStatus.PROCESSING, to=to, error=error)


def waiting(upload_id: UploadId, sizes: Sizes) -> dict[str, WarmedVariant]:
    """Every standard variant, by name, not warmed yet."""
    return {variant.name: WarmedVariant(variant_path(upload_id, variant)) for variant in sizes.standard}


def _warmed(variant: WarmedVariant, ensured: Ensured, known: WarmedVariant | None) -> WarmedVariant:
    """The variant as stored. Of one that was there already, the time it took is what was known of it."""
    if ensured.seconds is not None:
        milliseconds: float | None = round(ensured.seconds * 1000, 1)
    else:
        milliseconds = known.milliseconds if known else None
    return replace(variant, state=VariantState.STORED, bytes=ensured.size, milliseconds=milliseconds)


async def _until_written(write: Callable[[], Awaitable[None]]) -> None:
    """The work is done; while the database is away, its result waits here."""
    while True:
        try:
            return await write()
        except CatalogUnavailable as error:
            log.warning("cannot record a job", error=str(error))
            await asyncio.sleep(_CATALOG_DELAY)
