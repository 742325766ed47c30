"""Job: the progress of one upload's warm-up. Its states and their legal moves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from proxy.model import UploadId


class JobStatus(StrEnum):
    PENDING = "pending"
    """Waits for a worker."""
    PROCESSING = "processing"
    """A worker has it."""
    COMPLETE = "complete"
    """Every standard variant is in the store."""
    FAILED = "failed"
    """Ended with an error; `error` says which. Variants are still derived on request, if they can be."""

    @property
    def ended(self) -> bool:
        return self in (JobStatus.COMPLETE, JobStatus.FAILED)


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.PROCESSING}),
    # Back to pending: a stopping worker hands its job back. To itself: a worker takes over from a dead one.
    JobStatus.PROCESSING: frozenset({JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETE, JobStatus.FAILED}),
    # An operator's `darkroom warm` begins again, for instance after a size was added.
    JobStatus.COMPLETE: frozenset({JobStatus.PROCESSING}),
    JobStatus.FAILED: frozenset({JobStatus.PROCESSING}),
}


class JobNotClaimable(Exception):
    """The job is not in the expected state: another worker has it, or the upload was deleted. Let go of it."""


UNSEEN = timedelta(seconds=10)
"""Without a sign of life for so long, a job's worker may have died: twice the time that one variant may take."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The request that began a job, for the log and the trace of whoever does it: its id, and its W3C `traceparent`."""

    request_id: str | None = None
    traceparent: str | None = None


NO_TRACE = TraceContext()


@dataclass(frozen=True, slots=True)
class Job:
    """`progress` is 0 to 100; `error` is a sentence for people, set while the status is `failed`."""

    upload_id: UploadId
    status: JobStatus
    progress: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    trace_context: TraceContext = NO_TRACE

    @property
    def unseen(self) -> bool:
        return datetime.now(UTC) - self.updated_at > UNSEEN


class VariantState(StrEnum):
    WAITING = "waiting"
    """Not warmed yet. Its URL works all the same."""
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class WarmedVariant:
    """What the catalogue knows of one standard variant. `milliseconds` its derivation took; None if unknown.

    `quality` and `score` are what a search for the quality came to; None where the quality was given.
    """

    url: str
    state: VariantState = VariantState.WAITING
    bytes: int | None = None
    milliseconds: float | None = None
    quality: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class PrivateMetadata:
    """Kinds of it (`proxy/imaging/privacy.py`): `found` in the original, and `in_exif`, which may be kept."""

    found: list[str]
    in_exif: list[str]


@dataclass(frozen=True, slots=True)
class Upload:
    """An accepted upload. `format` is jpeg, png or webp; sides are upright pixels; `variants` go by name.

    `private` is None for uploads from before it was looked at.
    """

    upload_id: UploadId
    format: str
    original_size: int
    width: int
    height: int
    thumbhash: str
    color: str
    variants: dict[str, WarmedVariant]
    created_at: datetime
    private: PrivateMetadata | None = None
