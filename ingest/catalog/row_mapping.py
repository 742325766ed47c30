"""Turns rows into records."""

from typing import Any

from sqlalchemy import Row

from ingest.records import Job, JobStatus, PrivateMetadata, TraceContext, Upload, VariantState, WarmedVariant
from proxy.model import Focus, UploadId, Visibility


def to_upload(row: Row[Any]) -> Upload:
    variants = {
        name: WarmedVariant(**known | {"state": VariantState(known["state"])}) for name, known in row.variants.items()
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
        row.private and PrivateMetadata(**row.private),
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
    return False if row.format == "jpeg" else row.alpha


def to_job(row: Row[Any]) -> Job:
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
