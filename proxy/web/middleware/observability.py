"""Gives each request an id, a log line, a duration metric and a trace.

Memory cache hits bypass this: they take tens of microseconds and are only counted.
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
from proxy.telemetry.tracing import OFF, SpanAttributes, Tracing

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE"}
_NOTES, _ROUTE = "darkroom.notes", "darkroom.route"
_QUIET = {"/healthz", "/readyz", "/metrics"}
VARIANT_ROUTE = "/images/{upload_id}/{variant}"
PRIVATE_VARIANT_ROUTE = "/private/{upload_id}/{variant}"


def note(scope: MutableMapping[str, Any], **facts: str) -> None:
    """Adds facts to the request's log line and trace. Pass no secrets."""
    scope.setdefault(_NOTES, {}).update(facts)


def set_route(scope: MutableMapping[str, Any], template: str) -> None:
    """Names the route of a request that did not go through Starlette's router."""
    scope[_ROUTE] = template


class Observability:
    """Observes the requests to `app`. The request id is a well-formed `X-Request-Id` of the edge, or a new one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _valid_request_id(headers.get("x-request-id")) or uuid4().hex
        recorder = _ResponseRecorder(request_id, send)
        tracing = OFF if scope["path"] in _QUIET else self._tracing
        start = monotonic()
        with (
            structlog.contextvars.bound_contextvars(**{REQUEST: request_id}),
            tracing.begin("request", headers.get("traceparent"), "server") as span,
        ):
            try:
                await self._app(scope, receive, recorder.send)
            finally:
                self._record(scope, recorder, monotonic() - start, span)

    def _record(self, scope: Scope, recorder: "_ResponseRecorder", seconds: float, span: SpanAttributes) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route, status, notes = _route(scope), recorder.status, scope.get(_NOTES, {})
        self._metrics.request_seconds.labels(route, method, status).observe(seconds)
        facts = {"status": status, "seconds": round(seconds, 4), "bytes": recorder.bytes, **notes}
        (log.debug if _is_routine(route, status, notes) else log.info)("request", method=method, route=route, **facts)
        span |= {
            "name": f"{method} {route}",
            "http.request.method": method,  # OpenTelemetry's names
            "http.route": route,
            "http.response.status_code": status,
            "darkroom.request_id": recorder.request_id,
            **{f"darkroom.{name}": value for name, value in notes.items()},
        }
        if status >= 500:
            span["failed"] = HTTPStatus(status).phrase


class _ResponseRecorder:
    """Forwards the response and records its status (0 until it starts) and its bytes.

    Adds the request id, except to publicly cacheable responses.
    """

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self.status = 0
        self.bytes = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if not _is_publicly_cacheable(message):  # a cache would serve this id to other clients, for a year
                message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))  # counted for HEAD too, where the server drops the body
        await self._send(message)


def _is_publicly_cacheable(start: Message) -> bool:
    return any(name == b"cache-control" and value.startswith(b"public") for name, value in start["headers"])


def _valid_request_id(given: str | None) -> str | None:
    return given if given and _REQUEST_ID.fullmatch(given) else None


def _route(scope: Scope) -> str:
    """The route's template, never the path: metric labels must stay few."""
    if _ROUTE in scope:
        return str(scope[_ROUTE])
    route = scope.get("route")  # Starlette's
    return route.path if isinstance(route, Route) else "none"


def _is_routine(route: str, status: int, notes: dict[str, str]) -> bool:
    """Whether to log at debug level: health checks, and variants found, not found or rejected as overload."""
    if route in (VARIANT_ROUTE, PRIVATE_VARIANT_ROUTE):
        return notes.get("tier") != "derived" and (status < 500 or notes.get("code") == Overloaded.code)
    return route in _QUIET
