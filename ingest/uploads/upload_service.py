"""Receives, validates, stores, records and enqueues uploads. A refused or interrupted upload leaves nothing behind."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread
import structlog

from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdn
from ingest.idempotency_key import IdempotencyKey, fingerprint, source_metadata
from ingest.installation import Installation
from ingest.jobs.queue.warm_up_queue import WarmUpQueue, try_to_publish
from ingest.jobs.warm_up import waiting_variants
from ingest.offered_sizes import standard_variants_of
from ingest.records import PrivateMetadata, TraceContext, Upload
from ingest.uploads.saved_file import SavedFile, read_head, save
from ingest.uploads.stored_fields import NO_FIELDS, StoredFields, write_fields
from ingest.uploads.upload_fields import UploadFields
from proxy.errors import ServiceError, Unavailable, UnknownUpload
from proxy.imaging.inspect import Inspection
from proxy.keys import fields_key, original_key, trash_key
from proxy.model import Sizes, SourceFormat, UploadId, Visibility, new_upload_id
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.storage.object_store import ObjectStore, exists
from proxy.telemetry import Metrics
from proxy.telemetry.logging import request_id
from proxy.telemetry.tracing import step, traceparent
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.originals import metadata_of
from proxy.variants.variant_service import VariantService

log = structlog.get_logger()

_COMPLETION_TIMEOUT = 35  # seconds; longer than the timeouts of store and database


class UploadService:
    """Receives and deletes uploads."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        pool: RenderPool,
        repository: JobRepository,
        installation: Installation,
        queue: WarmUpQueue,
        cdn: Cdn,
        variant_service: VariantService,
        recipes: Recipes,
        sizes: Sizes,
        accept: Collection[SourceFormat],
        default_visibility: Visibility,
        metrics: Metrics,
        temporary: Path,
        priority: Priority = Priority.LIVE,
    ) -> None:
        """`priority`: of inspections. With BACKGROUND they wait for a render process without a deadline."""
        self._store = store
        self._pool = pool
        self._repository = repository
        self._installation = installation
        self._queue = queue
        self._cdn = cdn
        self._variant_service = variant_service
        self._recipes = recipes
        self._sizes = sizes
        self._formats = accept
        self._default_visibility = default_visibility
        self._metrics = metrics
        self._temporary = temporary
        self._priority = priority

    async def receive(
        self, chunks: AsyncIterator[bytes], key: IdempotencyKey | None = None, fields: UploadFields | None = None
    ) -> Upload:
        """Receives a file and returns once the original and its rows are durable.

        `key`: recorded with the upload. `fields`: complete when `chunks` end. Raises what `chunks` raises, a Refused
        for an unacceptable image, InProgress, Unavailable, Overloaded, DerivationTimeout or RenderFailed. After an
        exception, nothing of the upload is stored, and the key is free.
        """
        upload_id = new_upload_id()
        folder = self._temporary / upload_id
        has_begun = False
        try:
            head = await read_head(chunks, self._formats)
            await self._installation.verify()
            has_begun = True
            start = monotonic()
            path = folder / "original"
            begun_at = await self._repository.begin(upload_id, key, TraceContext(request_id(), traceparent()))
            since = monotonic()
            with step("receive"):
                saved = await save(path, head, chunks)
            with step("inspect"):
                inspection = await self._inspect(saved.path)
            created_at = begun_at + timedelta(seconds=monotonic() - since)  # the database's clock, without asking again
            given = fields or UploadFields()
            upload = await self._accept(upload_id, saved, inspection, created_at, given, key=key)
        except BaseException as error:
            if has_begun:
                await asyncio.shield(self._undo(upload_id))
            self._metrics.uploads.labels(_outcome(error)).inc()
            raise
        finally:
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
        self._metrics.uploads.labels("ok").inc()
        self._metrics.upload_bytes.observe(upload.original_size)
        self._metrics.upload_seconds.observe(monotonic() - start)
        with step("publish"):
            await try_to_publish(self._queue, upload_id)
        return upload

    async def delete(self, upload_id: UploadId) -> None:
        """Deletes original, variants, CDN copies and rows. Raises UnknownUpload or Unavailable.

        The rows go after the rest: if a step before fails, the upload is still listed and another call finishes the
        work. The last step removes what a concurrent change may have written again: the fields or the original. Without
        rows, for instance after an older backup was restored, deletes what the store has, also in the trash.
        """
        await self._installation.verify()
        try:
            await self._repository.find(upload_id)
        except UnknownUpload:
            if await self._repository.exists(upload_id) or not await self._is_stored(upload_id):
                raise
        await self._variant_service.delete_upload(upload_id)
        await self._cdn.invalidate([upload_tag(upload_id)], withdrawn=True)
        await self._delete_rows(upload_id)

    async def delete_many(self, upload_ids: Sequence[UploadId]) -> dict[UploadId, Exception]:
        """Deletes uploads that have rows, each as `delete` does, with one invalidation of the CDN for all.

        Returns the failures: one upload does not stop the others. Raises InstallationMismatch or Unavailable before
        anything is deleted. `upload_ids`: few enough to delete them at the same moment.
        """
        await self._installation.verify()
        failures = await _attempt_each(self._variant_service.delete_upload, upload_ids)
        removed = [upload_id for upload_id in upload_ids if upload_id not in failures]
        try:
            await self._cdn.invalidate([upload_tag(upload_id) for upload_id in removed], withdrawn=True)
        except Unavailable as error:
            return failures | dict.fromkeys(removed, error)
        return failures | await _attempt_each(self._delete_rows, removed)

    async def has_original(self, upload_id: UploadId) -> bool:
        """Returns False once a deletion of the upload has begun. Raises StoreUnavailable."""
        return await exists(self._store, original_key(upload_id))

    async def _delete_rows(self, upload_id: UploadId) -> None:
        await self._repository.delete(upload_id)
        # A concurrent change may have written one of them again. Not just a deletion: in a bucket with versioning, that
        # would leave a marker even if there was nothing.
        if any([await exists(self._store, key) for key in (original_key(upload_id), fields_key(upload_id))]):
            await self._variant_service.delete_upload(upload_id)
            await self._cdn.invalidate([upload_tag(upload_id)], withdrawn=True)

    async def _is_stored(self, upload_id: UploadId) -> bool:
        keys = original_key(upload_id), trash_key(upload_id)
        return any([await exists(self._store, key) for key in keys])

    async def _accept(
        self,
        upload_id: UploadId,
        saved: SavedFile,
        inspection: Inspection,
        created_at: datetime,
        fields: UploadFields,
        *,
        key: IdempotencyKey | None,
    ) -> Upload:
        """Stores the fields first, so that every original has its own, then the original, then the rows."""
        stored = StoredFields(fields.owner, fields.external_id, fields.metadata)
        if stored != NO_FIELDS:
            with step("store fields"):
                await _run_to_completion(write_fields(self._store, upload_id, stored))
        visibility = fields.visibility or self._default_visibility
        known_by = fingerprint(saved.sha256, fields.values) if key else None
        with step("store original"):
            put = self._store.put(
                original_key(upload_id),
                saved.path,
                content_type=inspection.format.media_type,
                metadata=metadata_of(inspection, saved.sha256, created_at, fields.focus, visibility)
                | source_metadata(key, known_by),
            )
            await _run_to_completion(put)
        upload = Upload(
            upload_id,
            inspection.format,
            saved.size,
            inspection.width,
            inspection.height,
            inspection.thumbhash,
            inspection.color,
            {},
            created_at,
            PrivateMetadata(inspection.private, inspection.private_exif),
            inspection.alpha,
            fields.focus,
            fields.owner,
            fields.external_id,
            fields.metadata,
            saved.sha256,
            visibility,
            inspection.can_play,
        )
        upload.variants.update(waiting_variants(upload_id, standard_variants_of(self._sizes, upload)))
        with step("record"):
            await _run_to_completion(self._repository.accept(upload, known_by))
        return upload

    async def _inspect(self, path: Path) -> Inspection:
        targets = [self._recipes.target(variant) for variant in self._sizes.variants]
        await self._pool.estimate_memory(path, targets)  # refuse what could never be derived
        async with self._pool.acquire(self._priority, await self._pool.estimate_memory(path)) as process:
            return await process.inspect(path)

    async def _undo(self, upload_id: UploadId) -> None:
        """Removes the rows, then the objects: a failure leaves an original without rows, which `darkroom gc` removes.

        The upload may have been accepted, if only the database's answer or the client's connection was lost.
        """
        try:
            async with asyncio.timeout(_COMPLETION_TIMEOUT):  # the store of commands waits for minutes in an outage
                await self._repository.delete(upload_id, keeps_key=False)
                await self._store.delete(original_key(upload_id), fields_key(upload_id))
        except (Unavailable, TimeoutError) as error:
            reason = str(error) or "timeout"
            log.error("upload clean-up failed, left to darkroom gc", upload=upload_id, error=reason)


async def _attempt_each(
    work: Callable[[UploadId], Coroutine[None, None, None]], upload_ids: Sequence[UploadId]
) -> dict[UploadId, Exception]:
    """Runs `work` for all uploads at once. Returns the failures by id. Re-raises a cancellation."""
    results = await asyncio.gather(*map(work, upload_ids), return_exceptions=True)
    failures: dict[UploadId, Exception] = {}
    for upload_id, result in zip(upload_ids, results, strict=True):
        if isinstance(result, Exception):
            failures[upload_id] = result
        elif result is not None:
            raise result
    return failures


def _outcome(error: BaseException) -> str:
    if isinstance(error, ServiceError):
        return error.code
    return "aborted" if isinstance(error, asyncio.CancelledError) else "internal"


async def _run_to_completion(work: Coroutine[None, None, None]) -> None:
    """Waits for `work` even if cancelled: its thread goes on, and undoing it is safe only after it has ended."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_COMPLETION_TIMEOUT)
        task.cancel()
        raise
