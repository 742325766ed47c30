"""Changes the owner, the external id and the metadata of an upload, in the database and in the object store."""

from collections.abc import Mapping
from typing import Any

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import InProgress
from ingest.installation import Installation
from ingest.records import Upload
from ingest.uploads.stored_fields import StoredFields, write_fields
from proxy.errors import UnknownUpload
from proxy.keys import fields_key, original_key, trash_key
from proxy.model import UploadId
from proxy.storage.object_store import ObjectStore, exists

_COLUMNS = {"owner": "owner", "externalId": "external_id", "metadata": "metadata"}
_MAX_WRITES = 10  # reached only if that many calls change one upload at the same time


class FieldsService:
    """Changes owner, external id and metadata of uploads."""

    def __init__(self, *, store: ObjectStore, repository: JobRepository, installation: Installation) -> None:
        self._store = store
        self._repository = repository
        self._installation = installation

    async def change(self, upload_id: UploadId, values: Mapping[str, Any]) -> None:
        """Changes the fields in `values`, whose names are the API's; None removes a value.

        Raises UnknownUpload, Unavailable, or InProgress if other calls keep changing them. Changes the database first,
        which decides between concurrent calls. If a later step fails, another call finishes the work.
        """
        changes = {_COLUMNS[name]: value for name, value in values.items() if name in _COLUMNS}
        if not changes:
            return
        await self._installation.verify()
        upload = await self._repository.change_fields(upload_id, changes)
        for _ in range(_MAX_WRITES):
            written = _fields_of(upload)
            await write_fields(self._store, upload_id, written)
            try:
                upload, _ = await self._repository.find(upload_id)
            except UnknownUpload:
                await self._remove_if_deleted(upload_id)
                raise
            if _fields_of(upload) == written:
                return
        raise InProgress("Other calls change this upload at the same moment. Try again.")

    async def _remove_if_deleted(self, upload_id: UploadId) -> None:
        """Deletes the stored fields if the original is gone too. With an original they stay, for `darkroom readopt`."""
        keys = original_key(upload_id), trash_key(upload_id)
        if not any([await exists(self._store, key) for key in keys]):
            await self._store.delete(fields_key(upload_id))


def _fields_of(upload: Upload) -> StoredFields:
    return StoredFields(upload.owner, upload.external_id, upload.metadata)
