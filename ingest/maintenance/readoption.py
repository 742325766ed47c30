"""Rebuilds the rows of uploads whose originals are stored but whose rows were lost, for instance with a database."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.catalog.repository import JobRepository
from ingest.idempotency_key import source_of
from ingest.jobs.queue.warm_up_queue import WarmUpQueue, try_to_publish
from ingest.jobs.warm_up import waiting_variants
from ingest.offered_sizes import standard_variants_of
from ingest.records import JobStatus, PrivateMetadata, Upload, VariantState
from ingest.uploads.stored_fields import read_fields
from proxy.errors import UnknownUpload
from proxy.imaging.inspect import Inspection
from proxy.keys import original_key, variants_prefix
from proxy.model import Sizes, UploadId
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.storage.object_store import ObjectInfo, ObjectStore, exists
from proxy.variants.originals import (
    DIGEST,
    created_at_of,
    focus_of,
    head_original,
    inspection_of,
    original_file,
    visibility_of,
)

Inspect = Callable[[UploadId], Awaitable[Inspection]]


@dataclass(frozen=True, slots=True)
class Inspector:
    """Inspects a stored original in a render worker, as an upload is inspected."""

    store: ObjectStore
    pool: RenderPool
    temporary: Path

    async def inspect(self, upload_id: UploadId) -> Inspection:
        """Inspects it. Raises UnknownUpload, Unavailable, Refused, Overloaded, DerivationTimeout or RenderFailed."""
        async with original_file(self.store, upload_id, self.temporary) as (path, _):
            memory = await self.pool.estimate_memory(path)
            async with self.pool.acquire(Priority.BACKGROUND, memory) as worker:
                return await worker.inspect(path)


class Readopter:
    """Rebuilds rows from originals. `inspect`: for originals of earlier versions, which have no metadata."""

    def __init__(
        self, store: ObjectStore, repository: JobRepository, queue: WarmUpQueue, sizes: Sizes, inspect: Inspect
    ) -> None:
        self._store = store
        self._repository = repository
        self._queue = queue
        self._sizes = sizes
        self._inspect = inspect

    async def readopt(self, upload_id: UploadId) -> bool:
        """Rebuilds the rows of an upload. Returns False if the upload has rows already.

        The job is complete if every standard variant is stored, otherwise pending. Raises UnknownUpload without an
        original, Unavailable, KeyReused if the source that the upload was imported from has or had another upload, and
        what `Inspector.inspect` raises for an original that cannot be decoded.
        """
        key = original_key(upload_id)
        original = await head_original(self._store, upload_id)
        upload = await self._describe(upload_id, original)
        is_complete = all(variant.state is VariantState.STORED for variant in upload.variants.values())
        status = JobStatus.COMPLETE if is_complete else JobStatus.PENDING
        if not await self._repository.adopt(upload, status, source_of(original.metadata)):
            return False
        if not await exists(self._store, key):  # deleted, or moved to the trash, while its row was written
            await self._repository.delete(upload_id)
            raise UnknownUpload("The original was removed meanwhile.")
        if not is_complete:
            await try_to_publish(self._queue, upload_id)
        return True

    async def is_readoptable(self, upload_id: UploadId) -> bool:
        """Whether `readopt` would rebuild the upload's rows. Raises UnknownUpload without an original, Unavailable."""
        await head_original(self._store, upload_id)
        return not await self._repository.is_accepted(upload_id)

    async def _describe(self, upload_id: UploadId, original: ObjectInfo) -> Upload:
        inspection = inspection_of(original) or await self._inspect(upload_id)
        visibility = visibility_of(original)
        fields = await read_fields(self._store, upload_id)
        upload = Upload(
            upload_id,
            inspection.format,
            original.size,
            inspection.width,
            inspection.height,
            inspection.thumbhash,
            inspection.color,
            {},
            created_at_of(original),
            PrivateMetadata(inspection.private, inspection.private_exif),
            inspection.alpha,
            focus_of(original),
            fields.owner,
            fields.external_id,
            fields.metadata,
            original.metadata.get(DIGEST),
            visibility,
            inspection.can_play,
        )
        variants = waiting_variants(upload_id, standard_variants_of(self._sizes, upload))
        prefix = variants_prefix(upload_id, visibility)
        async for info in self._store.list(prefix):
            if known := variants.get(name := info.key.removeprefix(prefix)):
                variants[name] = replace(known, state=VariantState.STORED, bytes=info.size)
        upload.variants.update(variants)
        return upload
