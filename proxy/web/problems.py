"""From errors to answers: the one table, as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from proxy.errors import ServiceError

log = structlog.get_logger()

STATUS: dict[str, int] = {
    "not_found": 404,
    "refused": 400,
    "missing_image": 400,
    "malformed": 400,
    "aborted": 400,
    "unsupported_format": 400,
    "too_large": 413,
    "too_small": 422,
    "too_many_pixels": 422,
    "too_heavy": 422,
    "undecodable": 422,
    "original_damaged": 422,
    "upload_timeout": 408,
    "key_reused": 422,
    "in_progress": 409,
    "unauthorized": 401,
    "cross_site": 403,
    "unavailable": 503,
    "store_unavailable": 503,
    "catalog_unavailable": 503,
    "queue_unavailable": 503,
    "cdn_unavailable": 503,
    "overloaded": 503,
    "derivation_timeout": 504,
    "render_failed": 503,
}
"""By the code of an error: those of `ingest`, too, which the proxy does not import."""


class Problem(TypedDict):
    """A refusal (RFC 9457): `detail` is for the person who meets it, `code` is stable and for programs."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class ProblemType(NamedTuple):
    """What every problem of one kind has in common."""

    status: int
    code: str
    title: str

    @classmethod
    def of(cls, error: type[ServiceError]) -> "ProblemType":
        return cls(STATUS[error.code], error.code, error.title)

    @classmethod
    def of_status(cls, status: int) -> "ProblemType":
        """Where HTTP's own name says it all."""
        phrase = HTTPStatus(status).phrase
        return cls(status, phrase.lower().replace(" ", "_"), phrase)


METHOD_NOT_ALLOWED = ProblemType.of_status(405)
UNSATISFIABLE = ProblemType(416, "range_not_satisfiable", "Range not satisfiable")
INTERNAL = ProblemType(500, "internal", "Internal error")
BAD_REQUEST = ProblemType(400, "bad_request", "Bad request")
HEADERS_TOO_LARGE = ProblemType(431, "headers_too_large", "Headers too large")

MEDIA_TYPE = "application/problem+json"
NO_STORE = "no-store"
SHORT = "public, max-age=60"
"""For a variant that cannot be: long enough to stop a flood, short enough for a racing upload."""

_REMEMBERED = {404, 422}


def problem(error: ServiceError, *, cacheable: bool = False, status: int | None = None) -> Response:
    """The answer to an error. `cacheable`: the edge may keep what asking again will not change, for a minute."""
    kind = ProblemType.of(type(error))
    status = status or kind.status
    if error.report:
        log.error("request failed", code=error.code, detail=str(error), cause=repr(error.__cause__))
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="darkroom"'
    caching = SHORT if cacheable and status in _REMEMBERED else NO_STORE
    return document(kind._replace(status=status), str(error), headers=headers, caching=caching)


def unsatisfiable(size: int) -> Response:
    """416, and nothing that a cache may keep: no cache keys by `Range`."""
    headers = {"Content-Range": f"bytes */{size}"}
    return document(UNSATISFIABLE, f"The picture has {size} bytes.", headers=headers)


async def service_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return problem(error)


async def http_error(_request: Request, error: Exception) -> Response:
    """What the router raises: no such path, or another method."""
    assert isinstance(error, HTTPException)
    return document(ProblemType.of_status(error.status_code), error.detail, headers=error.headers or {})


async def unexpected(_request: Request, error: Exception) -> Response:
    """A defect of ours. Its text stays in the log: it may say what is nobody's business."""
    log.error("unexpected error", exc_info=error)
    return document(INTERNAL, "This is a defect of the server; it was logged.")


def document(
    kind: ProblemType, detail: str, *, headers: Mapping[str, str] = MappingProxyType({}), caching: str = NO_STORE
) -> Response:
    """A problem document as RFC 9457 has it, with our stable `code`."""
    body: Problem = {
        "type": f"urn:darkroom:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": kind.code,
    }
    return Response(
        json.dumps(body),
        kind.status,
        {"Cache-Control": caching, "X-Content-Type-Options": "nosniff", **headers},
        media_type=MEDIA_TYPE,
    )
