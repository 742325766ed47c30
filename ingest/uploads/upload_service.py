"""Receive, validate, store, record, enqueue. An upload that is refused or breaks off leaves nothing behind."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread
import structlog

from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdn
from ingest.errors import MissingImage
from ingest.idempotency_key import IdempotencyKey
from ingest.jobs.queue.warm_up_queue import WarmUpQueue
from ingest.jobs.warm_up import waiting
from ingest.records import PrivateMetadata, TraceContext, Upload
from proxy.errors import ServiceError, Unavailable, UnsupportedFormat
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import sniff
from proxy.keys import original_key
from proxy.model import Sizes, UploadId, new_upload_id
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.storage.object_store import ObjectStore
from proxy.telemetry import Metrics
from proxy.telemetry.logging import request_id
from proxy.telemetry.tracing import step, traceparent
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.originals import DIGEST, digest
from proxy.variants.variant_service import VariantService

log = structlog.get_logger()

_SNIFF_BYTES = 12
_END_TIMEOUT = 35  # seconds; longer than any store or database takes to give up
_WRITE_BYTES = 256 * 1024  # bytes gathered for each write, as each costs a hop to a thread


class UploadService:
    """The life of an upload, from its first byte to its deletion."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        pool: RenderPool,
        repository: JobRepository,
        queue: WarmUpQueue,
        cdn: Cdn,
        variant_service: VariantService,
        sizes: Sizes,
        metrics: Metrics,
        temporary: Path,
    ) -> None:
        self._store = store
        self._pool = pool
        self._repository = repository
        self._queue = queue
        self._cdn = cdn
        self._variant_service = variant_service
        self._sizes = sizes
        self._metrics = metrics
        self._temporary = temporary

    async def receive(self, chunks: AsyncIterator[bytes], key: IdempotencyKey | None = None) -> Upload:
        """Takes the file's bytes; returns once the original and its rows are durable, under `claim` if there is one.

        Raises what `chunks` raises, a Refused for a picture that we do not take, InProgress, Unavailable, Overloaded,
        DerivationTimeout or RenderFailed; then nothing of it is left in any store, and its key is free.
        """
        upload_id = new_upload_id()
        folder = self._temporary / upload_id
        begun = False
        try:
            head, extension = await _first_bytes(chunks)
            begun = True
            start = monotonic()
            path = folder / f"original.{extension}"
            await self._repository.begin(upload_id, key, TraceContext(request_id(), traceparent()))
            with step("receive"):
                await _save(path, head, chunks)
            upload = await self._accept(upload_id, path, key)
        except BaseException as error:
            if begun:
                await asyncio.shield(self._undo(upload_id))
            self._metrics.uploads.labels(error.code if isinstance(error, ServiceError) else "aborted").inc()
            raise
        finally:
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
        self._metrics.uploads.labels("ok").inc()
        self._metrics.upload_bytes.observe(upload.original_size)
        self._metrics.upload_seconds.observe(monotonic() - start)
        try:
            with step("publish"):
                await self._queue.publish(upload_id)
        except Unavailable as error:  # the job is in the database, where workers look for it, too
            log.warning("warm-up not announced", upload=upload_id, error=str(error))
        return upload

    async def delete(self, upload_id: UploadId) -> None:
        """Removes original, variants and rows, and what the CDN holds. Raises UnknownUpload, CdnUnavailable.

        The rows go last: if a step fails half-way, the upload is still listed, and the next call finishes the work.
        """
        await self._repository.find(upload_id)
        await self._variant_service.purge(upload_id)
        await self._cdn.forget([upload_tag(upload_id)])
        await self._repository.delete(upload_id)

    async def _accept(self, upload_id: UploadId, path: Path, key: IdempotencyKey | None) -> Upload:
        with step("inspect"):
            inspection = await self._inspect(path)
        with step("store original"):
            sha256 = await anyio.to_thread.run_sync(digest, path)
            media_type = f"image/{inspection.format}"
            put = self._store.put(original_key(upload_id), path, content_type=media_type, metadata={DIGEST: sha256})
            await _run_to_completion(put)
        upload = Upload(
            upload_id,
            inspection.format,
            (await anyio.Path(path).stat()).st_size,
            inspection.width,
            inspection.height,
            inspection.thumbhash,
            inspection.color,
            waiting(upload_id, self._sizes),
            datetime.now(UTC),
            PrivateMetadata(inspection.private, inspection.private_exif),
        )
        with step("record"):
            await _run_to_completion(self._repository.accept(upload, sha256 if key else None))
        return upload

    async def _inspect(self, path: Path) -> Inspection:
        await self._variant_service.cost(path, self._sizes.standard)  # or what is accepted could never be derived
        async with self._pool.process(Priority.LIVE, await self._pool.cost(path)) as process:
            return await process.inspect(path)

    async def _undo(self, upload_id: UploadId) -> None:
        """Rows first: an original without rows is an orphan, a row without original a broken promise."""
        try:
            await self._repository.delete(upload_id)
            await self._store.delete(original_key(upload_id))
        except Unavailable as error:
            log.error("a refused upload may have left something behind", upload=upload_id, error=str(error))


async def _first_bytes(chunks: AsyncIterator[bytes]) -> tuple[bytes, str]:
    """Enough of the file to know its type, and the extension of that; or it is refused at once."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= _SNIFF_BYTES:
            break
    if not head:
        raise MissingImage("The file is empty. Send a JPEG, PNG or WebP picture.")
    extension = sniff(bytes(head[:_SNIFF_BYTES]))
    if extension is None:
        raise UnsupportedFormat("Send a JPEG, PNG or WebP picture.")
    return bytes(head), extension


async def _save(path: Path, head: bytes, chunks: AsyncIterator[bytes]) -> None:
    """The file, under a name of our own making, in a folder of its own."""
    gathered = bytearray(head)
    try:
        await anyio.Path(path.parent).mkdir(parents=True)
        async with await anyio.open_file(path, "xb") as file:
            async for chunk in chunks:
                gathered += chunk
                if len(gathered) >= _WRITE_BYTES:
                    await file.write(bytes(gathered))
                    gathered.clear()
            await file.write(bytes(gathered))
    except OSError as error:
        raise Unavailable("There is no room for uploads just now. Try again later.") from error


async def _run_to_completion(work: Coroutine[None, None, None]) -> None:
    """Work that goes on in a thread when its caller is cancelled: what is undone after that must know that it ended."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_END_TIMEOUT)
        task.cancel()
        raise
