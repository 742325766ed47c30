"""CORS: which calls the pages of `CORS_ORIGINS` may make, and which headers of the responses they may read."""

import re
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.web.upload_responses import UPLOAD_PATH
from proxy.model import UPLOAD_ID

_METHODS = {
    re.compile(UPLOAD_PATH): "POST",
    re.compile(f"/images/{UPLOAD_ID}/(status|events)", re.ASCII): "GET",
}
_SENT = ("Authorization", "Idempotency-Key", "Last-Event-ID", "Cache-Control", "X-Requested-With", "X-Request-Id")
"""Request headers besides those that pages may always send: of fetch, of Uppy, and of event source libraries."""
_READABLE = ("Location", "Retry-After", "Idempotent-Replayed", "WWW-Authenticate", "X-Request-Id")
_MAX_AGE = 3600  # seconds for which a browser remembers the permission; Chromium takes 7200 at most


class AllowOrigins:
    """Answers preflights of the calls in `_METHODS` and adds CORS headers to their responses. Passes other calls on.

    Cookies are not allowed: Darkroom has none.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._calls = [
            (
                path,
                CORSMiddleware(
                    app,
                    allow_origins=origins,
                    allow_methods=[method],
                    allow_headers=_SENT,
                    expose_headers=_READABLE,
                    max_age=_MAX_AGE,
                ),
            )
            for path, method in _METHODS.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        app = next((app for pattern, app in self._calls if pattern.fullmatch(path)), self._app)
        await app(scope, receive, send)
