"""What each request leaves behind: an id, a line in the log, its seconds, a trace.

Not those that are answered from memory, in tens of microseconds: they are counted, and nothing else.
"""

import re
from collections.abc import MutableMapping
from http import HTTPStatus
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import Overloaded
from proxy.telemetry import Metrics
from proxy.telemetry.logging import REQUEST
from proxy.telemetry.tracing import OFF, Facts, Tracing

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_METHODS = {"GET", "HEAD", "POST", "DELETE"}
_NOTES, _ROUTE = "darkroom.notes", "darkroom.route"
_QUIET = {"/healthz", "/readyz", "/metrics"}
VARIANT_ROUTE = "/images/{upload_id}/{variant}"


def note(scope: MutableMapping[str, Any], **facts: str) -> None:
    """Something about the request in hand that its line and its trace should say. Nothing that is secret."""
    scope.setdefault(_NOTES, {}).update(facts)


def route_is(scope: MutableMapping[str, Any], template: str) -> None:
    """For what no router has found."""
    scope[_ROUTE] = template


class Observability:
    """Around `app`. The request's id is the edge's `X-Request-Id`, if it is a plain one, or a new one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _known(headers.get("x-request-id")) or uuid4().hex
        answer = _Answer(request_id, send)
        tracing = OFF if scope["path"] in _QUIET else self._tracing
        start = monotonic()
        with (
            structlog.contextvars.bound_contextvars(**{REQUEST: request_id}),
            tracing.begin("request", headers.get("traceparent"), "server") as span,
        ):
            try:
                await self._app(scope, receive, answer.send)
            finally:
                self._record(scope, answer, monotonic() - start, span)

    def _record(self, scope: Scope, answer: "_Answer", seconds: float, span: Facts) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route, status, notes = _route(scope), answer.status, scope.get(_NOTES, {})
        self._metrics.request_seconds.labels(route, method, status).observe(seconds)
        facts = {"status": status, "seconds": round(seconds, 4), "bytes": answer.bytes, **notes}
        (log.debug if _quiet(route, status, notes) else log.info)("request", method=method, route=route, **facts)
        span |= {
            "name": f"{method} {route}",
            "http.request.method": method,  # OpenTelemetry's names
            "http.route": route,
            "http.response.status_code": status,
            "darkroom.request_id": answer.request_id,
            **{f"darkroom.{name}": value for name, value in notes.items()},
        }
        if status >= 500:
            span["failed"] = HTTPStatus(status).phrase


class _Answer:
    """What goes to the client, and passes on: its status, 0 until it has begun, and its bytes."""

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self.status = 0
        self.bytes = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if not _shared(message):  # a cache would go on giving this id to others, for a year
                message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))  # also of a HEAD, where the server drops them
        await self._send(message)


def _shared(start: Message) -> bool:
    return any(name == b"cache-control" and value.startswith(b"public") for name, value in start["headers"])


def _known(given: str | None) -> str | None:
    return given if given and _REQUEST_ID.fullmatch(given) else None


def _route(scope: Scope) -> str:
    """The template of it, never the path: of paths there is no end."""
    if _ROUTE in scope:
        return str(scope[_ROUTE])
    route = scope.get("route")  # Starlette's
    return route.path if isinstance(route, Route) else "none"


def _quiet(route: str, status: int, notes: dict[str, str]) -> bool:
    """Whether it is one of many: a health check, a variant that cost nothing or is not, or one too many in a flood."""
    if route == VARIANT_ROUTE:
        return notes.get("tier") != "derived" and (status < 500 or notes.get("code") == Overloaded.code)
    return route in _QUIET
