"""Uploads with an `Idempotency-Key`: a repeat returns the first upload."""

from collections.abc import AsyncIterator

from ingest.catalog.repository import JobRepository
from ingest.idempotency_key import IdempotencyKey, fingerprint
from ingest.ingest_errors import KeyReused
from ingest.records import Upload
from ingest.uploads.upload_service import UploadService
from proxy.errors import ServiceError
from proxy.telemetry import Metrics


class IdempotentUploads:
    """Wraps `UploadService` and detects repeats."""

    def __init__(self, uploads: UploadService, repository: JobRepository, metrics: Metrics) -> None:
        self._uploads = uploads
        self._repository = repository
        self._metrics = metrics

    async def receive(self, chunks: AsyncIterator[bytes], key: IdempotencyKey | None) -> tuple[Upload, bool]:
        """Returns the upload and whether it is a repeat. The bytes of a repeat are compared and discarded.

        Raises InProgress while the first attempt is in progress, KeyReused for different bytes, and what
        `UploadService.receive` raises. The key of a failed attempt is free again.
        """
        if key and (first := await self._find_first(chunks, key)):
            self._metrics.uploads.labels("repeated").inc()
            return first, True
        return await self._uploads.receive(chunks, key), False

    async def _find_first(self, chunks: AsyncIterator[bytes], key: IdempotencyKey) -> Upload | None:
        try:
            found = await self._repository.find_by_key(key)
            if found is None:
                return None
            upload, known = found
            if await fingerprint(chunks) != known:
                raise KeyReused("This `Idempotency-Key` was used for another image. Create a new key for each image.")
        except ServiceError as error:
            self._metrics.uploads.labels(error.code).inc()
            raise
        return upload
