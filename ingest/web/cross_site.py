"""Rejects calls that a browser makes on behalf of another site and that change something (CSRF).

Any site can send a form to 127.0.0.1, and a server without API keys would accept it. With API keys no check is needed:
another site has no key. Reading needs no check either: browsers hide responses from other sites, except for the calls
and origins that `cors.py` allows. Uploads with a ticket are judged in `ticket_access.py`.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.ingest_errors import CrossSite
from proxy.errors import ServiceError
from proxy.web.middleware.observability import note

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, 9.2.1: they change nothing


class RefuseCrossSite:
    """Rejects cross-site requests by every method that is not safe, on every path. `refuse` makes the response."""

    def __init__(self, app: ASGIApp, public_url: str | None, refuse: Callable[[Scope, ServiceError], Response]) -> None:
        self._app = app
        self._public_host = urlsplit(public_url or "").netloc
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_unsafe = scope["type"] == "http" and scope["method"] not in _SAFE_METHODS
        if is_unsafe and is_cross_site(Headers(scope=scope), self._public_host):
            error = CrossSite(
                "A page of another site sent this request. Send it from this server's page or from a back end."
            )
            note(scope, code=error.code)
            await self._refuse(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_cross_site(headers: Headers, public_host: str) -> bool:
    """Whether a browser sent the request for another site. Without `Sec-Fetch-Site` and `Origin`, no browser did.

    Old browsers, and all browsers over plain HTTP to a named host, send no `Sec-Fetch-Site`. Then `Origin` must match
    `Host`, or `public_host`, because proxies rewrite `Host`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "cross-site"
    return origin is not None and origin.partition("://")[2] not in {headers.get("host"), public_host} - {""}
