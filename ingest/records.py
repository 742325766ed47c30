"""Records of the catalog: uploads, their warm-up jobs, and the legal job state transitions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from proxy.model import Focus, UploadId, Visibility


class JobStatus(StrEnum):
    PENDING = "pending"
    """Waiting for a worker."""
    PROCESSING = "processing"
    """A worker is running it."""
    COMPLETE = "complete"
    """Every standard variant is stored."""
    FAILED = "failed"
    """Ended with an error, given in `error`. Variants are still derived on request where possible."""

    @property
    def has_ended(self) -> bool:
        return self in (JobStatus.COMPLETE, JobStatus.FAILED)


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.PROCESSING}),
    # To pending: a stopping worker hands its job back. To processing: a worker takes over from a dead one.
    JobStatus.PROCESSING: frozenset({JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETE, JobStatus.FAILED}),
    # `darkroom warm` runs a job again, for instance after a size was added. Any job starts again after a change of
    # focus or visibility.
    JobStatus.COMPLETE: frozenset({JobStatus.PROCESSING}),
    JobStatus.FAILED: frozenset({JobStatus.PROCESSING}),
}


class JobNotClaimable(Exception):
    """The job is not in the expected state: another worker has it, or the upload was deleted. Stop working on it."""


STALLED_AFTER = timedelta(seconds=10)
"""Time without a heartbeat after which a job's worker counts as dead."""

HEARTBEAT = STALLED_AFTER / 4
"""Time between two heartbeats, and the time limit of each. A single one may fail."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The request that created a job: its id and W3C `traceparent`, for the worker's log and trace."""

    request_id: str | None = None
    traceparent: str | None = None


NO_TRACE = TraceContext()


@dataclass(frozen=True, slots=True)
class Job:
    """The warm-up of one upload. `progress` is 0 to 100; `error` is readable text, set while the status is `failed`.

    `is_stalled`: whether it had no heartbeat for `STALLED_AFTER` when it was read, by the database's clock. `worker`:
    the run that processes it. `attempts`: runs that claimed it, without those that were interrupted.
    """

    upload_id: UploadId
    status: JobStatus
    progress: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    trace_context: TraceContext = NO_TRACE
    is_stalled: bool = False
    worker: str | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class OwnerDeletion:
    """The deletion of all uploads of `owner` that are older than `created_at`.

    `total`: their number at that time. `deleted`, `failed`: how many were deleted, and could not be deleted. `error`:
    readable text, set while the status is `failed`. `worker`: the run that processes it.
    """

    deletion_id: str
    owner: str
    status: JobStatus
    total: int
    deleted: int
    failed: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    worker: str | None

    @property
    def progress(self) -> int:
        """Returns the progress in percent, 100 at the end. Does not count uploads that other calls deleted or moved."""
        if self.status.has_ended:
            return 100
        return min(99, 100 * (self.deleted + self.failed) // max(1, self.total))


class WebhookType(StrEnum):
    READY = "image.ready"
    """The standard variants are stored."""
    FAILED = "image.failed"
    """The warm-up has failed. Variants are still derived on request where possible."""
    DELETED = "image.deleted"


class WebhookStatus(StrEnum):
    PENDING = "pending"
    """Will be sent, perhaps again."""
    FAILED = "failed"
    """Was not accepted for a day, or was refused permanently. `darkroom webhooks --retry` sends it again."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that is not delivered. `body`: its JSON, as it is signed and sent. `attempts`: how many have begun.

    `age`: since the change that it reports, by the database's clock. `error`: why the last attempt failed.
    """

    webhook_id: str
    upload_id: UploadId
    type: WebhookType
    body: str
    status: WebhookStatus
    attempts: int
    error: str | None
    created_at: datetime
    age: timedelta


class VariantState(StrEnum):
    WAITING = "waiting"
    """Not derived by the warm-up yet. Its URL works anyway."""
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class WarmedVariant:
    """The catalog's record of one standard variant. `milliseconds`: how long its derivation took; None if unknown.

    `quality` and `score` are the result of the quality search; None if the quality is fixed.
    """

    url: str
    state: VariantState = VariantState.WAITING
    bytes: int | None = None
    milliseconds: float | None = None
    quality: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class PrivateMetadata:
    """Kinds of private metadata (`proxy/imaging/privacy.py`) in the original; those `in_exif` may be kept."""

    found: list[str]
    in_exif: list[str]


@dataclass(frozen=True, slots=True)
class Upload:
    """An accepted upload.

    `format` is the original's. `original_size` is in bytes, `width` and `height` are upright pixels. `variants` are by
    name. `private` is None for uploads older than this field. `alpha`: whether the original is transparent; None for
    PNG and WebP older than this field, which are warmed up as both. `focus`: None is the centre. `sha256`: of the
    original, in hexadecimal; None for uploads older than this field. `animated`: whether animated sizes show it as an
    animation; False for uploads older than this field. `owner`, `external_id` and `metadata` are the application's;
    None if it gave none.
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
    alpha: bool | None = None
    focus: Focus | None = None
    owner: str | None = None
    external_id: str | None = None
    metadata: dict[str, Any] | None = None
    sha256: str | None = None
    visibility: Visibility = Visibility.PUBLIC
    animated: bool = False
