"""Uploads under an `Idempotency-Key`: the first is taken, the same again gets its answer."""

from collections.abc import AsyncIterator

from ingest.catalog.repository import JobRepository
from ingest.errors import KeyReused
from ingest.idempotency_key import IdempotencyKey, fingerprint
from ingest.records import Upload
from ingest.uploads.upload_service import UploadService
from proxy.errors import ServiceError
from proxy.telemetry import Metrics


class IdempotentUploads:
    """Stands before `UploadService`, which alone takes pictures."""

    def __init__(self, uploads: UploadService, repository: JobRepository, metrics: Metrics) -> None:
        self._uploads = uploads
        self._repository = repository
        self._metrics = metrics

    async def receive(self, chunks: AsyncIterator[bytes], key: IdempotencyKey | None) -> tuple[Upload, bool]:
        """The upload, and whether it was there already; then the bytes were read, compared and dropped.

        Raises InProgress while the first attempt is being taken, KeyReused for other bytes, and what
        `UploadService.receive` raises; the key of an attempt that fails is free again.
        """
        if key and (first := await self._first(chunks, key)):
            self._metrics.uploads.labels("repeated").inc()
            return first, True
        return await self._uploads.receive(chunks, key), False

    async def _first(self, chunks: AsyncIterator[bytes], key: IdempotencyKey) -> Upload | None:
        try:
            found = await self._repository.find_by_key(key)
            if found is None:
                return None
            upload, known = found
            if await fingerprint(chunks) != known:
                raise KeyReused("This `Idempotency-Key` is another picture's. Make a new one for each picture.")
        except ServiceError as error:
            self._metrics.uploads.labels(error.code).inc()
            raise
        return upload
