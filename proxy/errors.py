"""The errors that the proxy raises.

    ServiceError
    ├── NotFound
    │   ├── UnknownUpload         no original under this id (never uploaded, or deleted)
    │   └── UnknownVariant        no such size or format
    ├── Refused                   the upload cannot be accepted
    │   ├── UnsupportedFormat     none of the accepted formats by content
    │   ├── TooSmall              too few pixels
    │   ├── TooManyPixels         too many pixels
    │   ├── TooHeavy              needs more memory than is allowed
    │   └── Undecodable           truncated, corrupt or hostile
    │       └── OriginalDamaged   the stored bytes are not those that were uploaded
    ├── Unauthorized              no API key, or a wrong one
    ├── Forbidden                 the key lacks the scope
    │   └── InvalidToken          no token for private variants, a wrong one, or an expired one
    ├── Misdirected               without API keys: the request is for another host
    ├── Unavailable               a dependency does not work
    │   └── StoreUnavailable
    ├── Overloaded                no capacity to derive in time, or to send one more original
    ├── DerivationTimeout         the derivation passed its deadline
    ├── DerivationPaused          it timed out or crashed before, and is tried again later
    ├── RenderFailed              a render worker died (crash or memory limit)
    └── UploadChanged             the upload was changed while a variant was derived

`ingest/ingest_errors.py` has the errors of uploads and jobs. `proxy/web/problems.py` maps codes to HTTP statuses.
`ObjectNotFound` and `ObjectExists` of the object store are results, not failures, and never reach a client.
"""


class ServiceError(Exception):
    """An expected failure.

    `code`: stable, for programs. `title`: the type of problem. `str(error)`: a message for people that is safe to show.
    `retryable`: the same call may succeed later. `report`: log it as an error for the operator. `is_outage`: a whole
    dependency failed, so the same call for another object will probably fail as well.
    """

    code = "internal"
    title = "Something went wrong"
    retryable = False
    report = False
    is_outage = False

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.title)
        self.retry_after = retry_after  # seconds until trying again makes sense

    def fresh_copy(self) -> "ServiceError":
        """Returns a copy to cache or raise again, without the traceback, which would keep every frame alive."""
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
    title = "Not an image of an accepted format"


class TooSmall(Refused):
    code = "too_small"
    title = "The image has too few pixels"


class TooManyPixels(Refused):
    code = "too_many_pixels"
    title = "The image has too many pixels"


class TooHeavy(Refused):
    code = "too_heavy"
    title = "The image takes too much memory"


class Undecodable(Refused):
    code = "undecodable"
    title = "The image cannot be decoded"


class OriginalDamaged(Undecodable):
    code = "original_damaged"
    title = "The stored original is damaged"
    report = True


class Unauthorized(ServiceError):
    code = "unauthorized"
    title = "A valid API key is required"


class Forbidden(ServiceError):
    code = "forbidden"
    title = "The API key lacks a scope"


class InvalidToken(Forbidden):
    title = "A valid token is required"


class Misdirected(ServiceError):
    code = "misdirected"
    title = "The request is for another host"


class Unavailable(ServiceError):
    code = "unavailable"
    title = "Service temporarily unavailable"
    retryable = True
    report = True
    is_outage = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(detail, retry_after=retry_after)


class StoreUnavailable(Unavailable):
    """The object store failed. `reason`: a metric label, from a small fixed set.

    `is_outage`: the store was silent, unreachable, failing or throttling, so other requests will probably fail as well.
    False for an answer about one request, such as a refused key.
    """

    code = "store_unavailable"
    title = "Object store unavailable"

    def __init__(
        self, detail: str = "", *, retry_after: int | None = 5, reason: str = "other", is_outage: bool = False
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.reason = reason
        self.is_outage = is_outage


class Overloaded(ServiceError):
    code = "overloaded"
    title = "No capacity at the moment"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 1) -> None:
        super().__init__(detail, retry_after=retry_after)


class DerivationTimeout(ServiceError):
    code = "derivation_timeout"
    title = "The derivation passed its deadline"
    retryable = True
    report = True


class DerivationPaused(ServiceError):
    code = "derivation_paused"
    title = "The derivation failed before and is paused"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 10) -> None:
        super().__init__(detail, retry_after=retry_after)


class RenderFailed(ServiceError):
    code = "render_failed"
    title = "The render process died"
    retryable = True
    report = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 5) -> None:
        super().__init__(detail, retry_after=retry_after)


class UploadChanged(ServiceError):
    code = "upload_changed"
    title = "The upload was changed while this variant was derived"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 1) -> None:
        super().__init__(detail, retry_after=retry_after)
