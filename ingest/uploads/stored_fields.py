"""The object `fields/{uploadId}`: the application's fields of an upload.

It survives the loss of the database. Only uploads with a field have one. The database has the same in columns, for
filters. If they differ, the database is right.
"""

import json
from dataclasses import dataclass
from typing import Any

import structlog

from ingest.ingest_errors import InvalidField
from ingest.uploads.field_values import InvalidJson, parse_json, read_external_id, read_metadata, read_owner
from proxy.errors import StoreUnavailable
from proxy.keys import fields_key
from proxy.model import UploadId
from proxy.storage.object_store import DAMAGED, ObjectNotFound, ObjectStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredFields:
    """The fields of an upload that belong to the application; None for those that it did not give."""

    owner: str | None = None
    external_id: str | None = None
    metadata: dict[str, Any] | None = None


NO_FIELDS = StoredFields()


async def write_fields(store: ObjectStore, upload_id: UploadId, fields: StoredFields) -> None:
    """Writes the object, or deletes it if no field has a value. Raises StoreUnavailable."""
    if fields == NO_FIELDS:
        await store.delete(fields_key(upload_id))
        return
    values = {"owner": fields.owner, "externalId": fields.external_id, "metadata": fields.metadata}
    document = {name: value for name, value in values.items() if value is not None}
    await store.put(fields_key(upload_id), json.dumps(document).encode(), content_type="application/json")


async def read_fields(store: ObjectStore, upload_id: UploadId) -> StoredFields:
    """Reads the object. Returns NO_FIELDS if it is missing or damaged; logs a damaged one. Raises StoreUnavailable."""
    try:
        return _parse((await store.get(fields_key(upload_id))).body)
    except ObjectNotFound:
        return NO_FIELDS
    except (InvalidJson, InvalidField, StoreUnavailable) as error:
        if isinstance(error, StoreUnavailable) and error.reason != DAMAGED:
            raise
        log.warning("stored fields unreadable", upload=upload_id, error=str(error))
        return NO_FIELDS


def _parse(body: bytes) -> StoredFields:
    """Parses the object. Raises InvalidJson or InvalidField."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidJson("is no object")
    owner, external_id, metadata = (document.get(name) for name in ("owner", "externalId", "metadata"))
    return StoredFields(
        None if owner is None else read_owner(owner),
        None if external_id is None else read_external_id(external_id),
        None if metadata is None else read_metadata(metadata),
    )
