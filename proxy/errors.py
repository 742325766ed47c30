"""The errors that the proxy raises.

    ServiceError
    ├── NotFound                  no such thing
    │   ├── UnknownUpload         no original under this id (never uploaded, or deleted)
    │   └── UnknownVariant        no such size or format
    ├── Refused                   the picture cannot be accepted
    │   ├── UnsupportedFormat     not JPEG, PNG or WebP by content
    │   ├── TooSmall              too few pixels
    │   ├── TooManyPixels         too many pixels
    │   ├── TooHeavy              needs more memory than is allowed
    │   └── Undecodable           truncated, corrupt or hostile
    │       └── OriginalDamaged   the stored bytes are not those that were uploaded
    ├── Unauthorized              no API key, or a wrong one
    ├── Unavailable               a dependency does not answer
    │   └── StoreUnavailable
    ├── Overloaded                no capacity to derive in time
    ├── DerivationTimeout         the derivation passed its deadline
    └── RenderFailed              a render worker died (crash or memory limit)

`ingest/errors.py` has those of uploads and jobs. Neither knows HTTP: `proxy/web/problems.py` maps codes to statuses.
The object store's `ObjectNotFound` and `ObjectExists` are answers, not failures, and never reach a client.
"""


class ServiceError(Exception):
    """A failure we know by name.

    `code` is stable and machine-readable; `title` names the kind; `str(error)` is the sentence for the person who
    meets it and is always safe to show. `retryable`: the same call may succeed later. `report`: an operator should
    see it in the log as an error.
    """

    code = "internal"
    title = "Something went wrong"
    retryable = False
    report = False

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.retry_after = retry_after  # seconds until trying again makes sense

    def afresh(self) -> "ServiceError":
        """The same to keep or to raise again: without a traceback, which would keep every frame it passed alive."""
        return type(self)(str(self), retry_after=self.retry_after)


class NotFound(ServiceError):
    code = "not_found"
    title = "Not found"


class UnknownUpload(NotFound):
    title = "No such upload"


class UnknownVariant(NotFound):
    title = "No such size or format"


class Refused(ServiceError):
    code = "refused"
    title = "The upload was refused"


class UnsupportedFormat(Refused):
    code = "unsupported_format"
    title = "Not a JPEG, PNG or WebP picture"


class TooSmall(Refused):
    code = "too_small"
    title = "The picture has too few pixels"


class TooManyPixels(Refused):
    code = "too_many_pixels"
    title = "The picture has too many pixels"


class TooHeavy(Refused):
    code = "too_heavy"
    title = "The picture takes too much memory"


class Undecodable(Refused):
    code = "undecodable"
    title = "The picture cannot be decoded"


class OriginalDamaged(Undecodable):
    code = "original_damaged"
    title = "The stored original is damaged"
    report = True


class Unauthorized(ServiceError):
    code = "unauthorized"
    title = "A valid API key is needed"


class Unavailable(ServiceError):
    code = "unavailable"
    title = "A part of the service is away"
    retryable = True
    report = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(detail, retry_after=retry_after)


class StoreUnavailable(Unavailable):
    """`reason` is one of few words, for metrics."""

    code = "store_unavailable"
    title = "The object store is away"

    def __init__(self, detail: str = "", *, retry_after: int | None = 5, reason: str = "other") -> None:
        super().__init__(detail, retry_after=retry_after)
        self.reason = reason


class Overloaded(ServiceError):
    code = "overloaded"
    title = "No room to derive this picture just now"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 1) -> None:
        super().__init__(detail, retry_after=retry_after)


class DerivationTimeout(ServiceError):
    code = "derivation_timeout"
    title = "The derivation passed its deadline"
    retryable = True
    report = True


class RenderFailed(ServiceError):
    code = "render_failed"
    title = "A render process died on this picture"
    retryable = True
    report = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(detail, retry_after=retry_after)
