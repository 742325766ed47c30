"""Uploads with an `Idempotency-Key`: a repeat returns the first upload."""

from collections.abc import AsyncIterator
from dataclasses import replace

from ingest.catalog.repository import JobRepository
from ingest.idempotency_key import IdempotencyKey, digest, fingerprint
from ingest.ingest_errors import KeyReused
from ingest.records import Upload
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.errors import ServiceError
from proxy.telemetry import Metrics


class IdempotentUploads:
    """Wraps `UploadService` and detects repeats."""

    def __init__(self, uploads: UploadService, repository: JobRepository, metrics: Metrics) -> None:
        self._uploads = uploads
        self._repository = repository
        self._metrics = metrics

    async def receive(
        self, chunks: AsyncIterator[bytes], key: IdempotencyKey | None, fields: UploadFields
    ) -> tuple[Upload, bool]:
        """Returns the upload and whether it is a repeat. The bytes and fields of a repeat are compared and discarded.

        A repeat gets the fields as the first attempt sent them, not as other calls changed them since. Only the
        visibility is the present one, because the URLs depend on it.

        `fields`: complete when `chunks` end. Raises InProgress while the first attempt is in progress, KeyReused for
        different bytes or fields, or if the upload no longer has the owner of the ticket, and what
        `UploadService.receive` raises. The key of a failed attempt is free again.
        """
        if key and (first := await self._find_first(chunks, key, fields)):
            self._metrics.uploads.labels("repeated").inc()
            return first, True
        return await self._uploads.receive(chunks, key, fields), False

    async def _find_first(
        self, chunks: AsyncIterator[bytes], key: IdempotencyKey, fields: UploadFields
    ) -> Upload | None:
        try:
            found = await self._repository.find_by_key(key)
            if found is None:
                return None
            upload, known = found
            sha256 = await digest(chunks)
            if fingerprint(sha256, fields.values) != known:
                raise KeyReused(
                    f"This {key.label} was used for another image or other fields. Use a new one for each image."
                )
            if fields.claims is not None and upload.owner != fields.owner:  # no receipt is right for both owners
                raise KeyReused("The upload that this ticket was used for has another owner now. Use a new ticket.")
        except ServiceError as error:
            self._metrics.uploads.labels(error.code).inc()
            raise
        return replace(
            upload,
            focus=fields.focus,
            owner=fields.owner,
            external_id=fields.external_id,
            metadata=fields.metadata,
            sha256=sha256,  # a row of an earlier version lacks it
        )
