"""Turns rows into records.

A newer version may have written a row with more in its JSON columns. What this version does not know is ignored, so
that one such row does not fail a whole page of the list.
"""

from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Row

from ingest.records import Job, JobStatus, PrivateMetadata, TraceContext, Upload, VariantState, WarmedVariant
from proxy.model import Focus, UploadId, Visibility

T = TypeVar("T", WarmedVariant, PrivateMetadata)

_NAMES: dict[type[Any], list[str]] = {
    record: [each.name for each in fields(record)] for record in (WarmedVariant, PrivateMetadata)
}


def to_upload(row: Row[Any]) -> Upload:
    """Returns the upload. `row`: with the columns of `images`."""
    variants = {
        name: _read(WarmedVariant, stored | {"state": VariantState(stored["state"])})
        for name, stored in row.variants.items()
    }
    return Upload(
        UploadId(row.upload_id),
        row.format,
        row.original_size,
        row.width,
        row.height,
        row.thumbhash,
        row.color,
        variants,
        row.created_at,
        row.private and _read(PrivateMetadata, row.private),
        alpha_of(row),
        row.focus and Focus(row.focus),
        row.owner,
        row.external_id,
        row.metadata,
        row.sha256,
        Visibility(row.visibility),
        bool(row.animated),
    )


def alpha_of(row: Row[*tuple[Any, ...]]) -> bool | None:
    """Whether the original is transparent, which a JPEG never is; None if unknown."""
    return False if row.format == "jpeg" else row.alpha


def to_job(row: Row[Any]) -> Job:
    """Returns the job. `row`: with columns of `upload_jobs`, and `is_stalled`."""
    return Job(
        UploadId(row.upload_id),
        JobStatus(row.status),
        row.progress,
        row.error,
        row.created_at,
        row.updated_at,
        TraceContext(row.request_id, row.traceparent),
        bool(row.is_stalled),
        row.worker,
        row.attempts,
    )


def _read(record: type[T], stored: dict[str, Any]) -> T:
    return record(**{name: stored[name] for name in _NAMES[record] if name in stored})
