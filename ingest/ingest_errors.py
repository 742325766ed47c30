"""The errors that uploads, jobs and their dependencies raise, in addition to those of `proxy/errors.py`.

    Refused
    ├── MissingImage              no `image` field
    ├── Malformed                 not a well-formed request
    ├── UnknownField              a field that the call does not have
    ├── InvalidField              a field with a value that it cannot have
    ├── Aborted                   the client closed the connection before the end
    ├── TooLarge                  too many bytes
    ├── UploadTimeout             the body arrived too slowly
    └── KeyReused                 the Idempotency-Key or ticket was used for another upload
    ServiceError
    ├── InProgress                another call for the same upload is in progress
    ├── TooManyStreams            more clients follow jobs than this process serves
    ├── CrossSite                 a browser sent it on behalf of another site
    └── InvalidTicket             an upload ticket that this server does not accept
        └── TicketExpired
    Unavailable
    ├── CatalogUnavailable
    │   └── InstallationMismatch  database and object store belong to different installations
    ├── QueueUnavailable
    └── CdnUnavailable

Their HTTP statuses are in `proxy/web/problems.py`.
"""

from proxy.errors import Refused, ServiceError, Unavailable


class MissingImage(Refused):
    code = "missing_image"
    title = "No image in the request"


class Malformed(Refused):
    code = "malformed"
    title = "The request is malformed"


class UnknownField(Refused):
    code = "unknown_field"
    title = "The request has an unknown field"


class InvalidField(Refused):
    code = "invalid_field"
    title = "A field has an invalid value"


class Aborted(Refused):
    code = "aborted"
    title = "The request was interrupted"


class TooLarge(Refused):
    code = "too_large"
    title = "Too many bytes"


class UploadTimeout(Refused):
    code = "upload_timeout"
    title = "The request was too slow"
    retryable = True


class KeyReused(Refused):
    code = "key_reused"
    title = "The idempotency key or ticket was used for another upload"


class InProgress(ServiceError):
    code = "in_progress"
    title = "Another call for the same upload is in progress"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 2) -> None:
        super().__init__(detail, retry_after=retry_after)


class TooManyStreams(ServiceError):
    code = "too_many_streams"
    title = "Too many event streams"
    retryable = True

    def __init__(self, detail: str = "", *, retry_after: int | None = 10) -> None:
        super().__init__(detail, retry_after=retry_after)


class CrossSite(ServiceError):
    code = "cross_site"
    title = "Other sites may not change anything here"


class InvalidTicket(ServiceError):
    code = "invalid_ticket"
    title = "The upload ticket is not valid"


class TicketExpired(InvalidTicket):
    code = "ticket_expired"
    title = "The upload ticket has expired"


class CatalogUnavailable(Unavailable):
    code = "catalog_unavailable"
    title = "Database unavailable"


class InstallationMismatch(CatalogUnavailable):
    code = "installation_mismatch"
    title = "Database and object store do not belong together"


class QueueUnavailable(Unavailable):
    code = "queue_unavailable"
    title = "Queue unavailable"


class CdnUnavailable(Unavailable):
    code = "cdn_unavailable"
    title = "CDN unavailable"
