"""Maps errors to responses: `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import TypedDict, override

from proxy.errors import ServiceError
from proxy.web.middleware.observability import note

log = structlog.get_logger()

STATUS: dict[str, int] = {
    "not_found": 404,
    "refused": 400,
    "missing_image": 400,
    "malformed": 400,
    "unknown_field": 400,
    "invalid_field": 400,
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
    "invalid_ticket": 401,
    "ticket_expired": 401,
    "forbidden": 403,
    "cross_site": 403,
    "misdirected": 421,
    "unavailable": 503,
    "store_unavailable": 503,
    "catalog_unavailable": 503,
    "installation_mismatch": 503,
    "queue_unavailable": 503,
    "cdn_unavailable": 503,
    "overloaded": 503,
    "too_many_streams": 503,
    "derivation_timeout": 504,
    "derivation_paused": 503,
    "render_failed": 503,
    "upload_changed": 503,
}
"""HTTP status by error code. Includes the codes of `ingest`, which the proxy does not import."""


class Problem(TypedDict):
    """A problem document (RFC 9457). `detail` is for people; `code` is stable and for programs."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class ProblemType(NamedTuple):
    """The members that all problems of one type share."""

    status: int
    code: str
    title: str

    @classmethod
    def of(cls, error: type[ServiceError]) -> "ProblemType":
        return cls(STATUS[error.code], error.code, error.title)

    @classmethod
    def of_status(cls, status: int) -> "ProblemType":
        """Returns the problem type of an HTTP status, with the status's reason phrase as its title."""
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
"""For missing or undecodable variants: long enough to absorb a flood, short enough for an upload in progress."""

_CACHEABLE = {404, 422}


def problem(error: ServiceError, *, cacheable: bool = False, status: int | None = None) -> Response:
    """Returns the response to an error. `cacheable`: caches may keep a 404 or 422 for a minute.

    `status`: overrides `STATUS`.
    """
    problem_type = ProblemType.of(type(error))
    status = status or problem_type.status
    if error.report:
        log.error("request failed", code=error.code, detail=str(error), cause=repr(error.__cause__))
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="darkroom"'
    caching = SHORT if cacheable and status in _CACHEABLE else NO_STORE
    return problem_response(problem_type._replace(status=status), str(error), headers=headers, caching=caching)


def unsatisfiable(size: int) -> Response:
    """Returns a 416 response. Not cacheable: caches do not key by `Range`."""
    headers = {"Content-Range": f"bytes */{size}"}
    return problem_response(UNSATISFIABLE, f"The variant has {size} bytes.", headers=headers)


async def on_service_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return problem(error)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Handles what the router raises: 404 and 405."""
    assert isinstance(error, HTTPException)
    return problem_response(ProblemType.of_status(error.status_code), error.detail, headers=error.headers or {})


async def on_unexpected_error(_request: Request, error: Exception) -> Response:
    """Logs an unhandled exception and returns 500 without details, which may be confidential."""
    log.error("unhandled error in request", exc_info=error)
    return problem_response(INTERNAL, "The server failed unexpectedly. The error was logged.")


class AnswerUnexpectedErrors:
    """Middleware that logs each unhandled exception once and answers it with 500.

    Starlette's own middleware raises it again, and uvicorn would log it a second time, without the request id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def forward(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, forward)
        except Exception as error:
            response = await on_unexpected_error(Request(scope), error)
            if not started:  # otherwise the server closes the connection
                await response(scope, receive, send)


class ProblemResponse(Response):
    """A problem document. Its code is in the request's log line."""

    media_type = MEDIA_TYPE

    def __init__(self, problem_type: ProblemType, detail: str, headers: Mapping[str, str]) -> None:
        self.code = problem_type.code
        body: Problem = {
            "type": f"urn:darkroom:problem:{problem_type.code}",
            "title": problem_type.title,
            "status": problem_type.status,
            "detail": detail,
            "code": problem_type.code,
        }
        super().__init__(json.dumps(body), problem_type.status, headers)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        note(scope, code=self.code)
        await super().__call__(scope, receive, send)


def problem_response(
    problem_type: ProblemType,
    detail: str,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    caching: str = NO_STORE,
) -> Response:
    """Returns a response with a problem document (RFC 9457), which has the stable `code` of `problem_type`."""
    return ProblemResponse(
        problem_type, detail, {"Cache-Control": caching, "X-Content-Type-Options": "nosniff", **headers}
    )
