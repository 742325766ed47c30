"""Everything that can go wrong on purpose, and what may be said about it.

    ServiceError
    ├── NotFound                  no such thing
    │   ├── UnknownUpload         no original under this id (never uploaded, or deleted)
    │   └── UnknownVariant        no such size or format
    ├── Refused                   what was sent cannot be accepted
    │   ├── MissingImage          no `image` field
    │   ├── Malformed             not a well-formed multipart request
    │   ├── Aborted               the client left half-way
    │   ├── UnsupportedFormat     not JPEG, PNG or WebP by content
    │   ├── TooLarge              too many bytes
    │   ├── TooSmall              too few pixels
    │   ├── TooManyPixels         too many pixels
    │   ├── TooHeavy              takes more memory than there may be
    │   ├── Undecodable           truncated, corrupt or hostile
    │   │   └── OriginalDamaged   what is stored is not what was uploaded
    │   ├── UploadTimeout         the body came too slowly
    │   └── KeyReused             its Idempotency-Key is another picture's
    ├── InProgress                its Idempotency-Key is that of an upload under way
    ├── Unauthorized              no key, or a wrong one
    ├── CrossSite                 another site's page sent it through a browser
    ├── Unavailable               a dependency is away
    │   ├── StoreUnavailable
    │   ├── CatalogUnavailable
    │   ├── QueueUnavailable
    │   └── CdnUnavailable
    ├── Overloaded                no room to derive in time
    ├── DerivationTimeout         the derivation passed its deadline
    └── RenderFailed              a render process died (crash or memory limit)

There is no HTTP here: workers raise these too. `web/problems.py` owns the table from error to status.
The storage port has two signals of its own, `ObjectNotFound` and `ObjectExists` (see `storage/base.py`); they are
answers to a question, not failures, and never reach a caller.
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


class MissingImage(Refused):
    code = "missing_image"
    title = "No image in the request"


class Malformed(Refused):
    code = "malformed"
    title = "The request is not a well-formed upload"


class Aborted(Refused):
    code = "aborted"
    title = "The upload broke off"


class UnsupportedFormat(Refused):
    code = "unsupported_format"
    title = "Not a JPEG, PNG or WebP picture"


class TooLarge(Refused):
    code = "too_large"
    title = "The file is too large"


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


class UploadTimeout(Refused):
    code = "upload_timeout"
    title = "The upload was too slow"
    retryable = True


class KeyReused(Refused):
    code = "key_reused"
    title = "The idempotency key is another picture's"


class OriginalDamaged(Undecodable):
    code = "original_damaged"
    title = "The stored original is damaged"
    report = True


class InProgress(ServiceError):
    code = "in_progress"
    title = "The same upload is under way"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 2) -> None:
        super().__init__(detail, retry_after=retry_after)


class Unauthorized(ServiceError):
    code = "unauthorized"
    title = "A valid API key is needed"


class CrossSite(ServiceError):
    code = "cross_site"
    title = "The page of another site may not upload here"


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


class CatalogUnavailable(Unavailable):
    code = "catalog_unavailable"
    title = "The database is away"


class QueueUnavailable(Unavailable):
    code = "queue_unavailable"
    title = "The queue is away"


class CdnUnavailable(Unavailable):
    code = "cdn_unavailable"
    title = "The CDN cannot be told"


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
