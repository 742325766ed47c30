"""Restricts the `Host` that a request may name while no API key protects the server.

A site can let its own name resolve to 127.0.0.1 (DNS rebinding). Its page then has the same origin as this server for
the browser: it sends requests without cross-site headers and reads the responses. Only `Host` names the site.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import Misdirected, ServiceError
from proxy.web.middleware.authentication import set_trusted
from proxy.web.middleware.observability import note

_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(:\d*)?")  # with a port or without one


class RequireLocalHost:
    """Requires `Host` to be a loopback address, `localhost` or the host of `public_url`, except for `open_paths`.

    Any port is accepted. `refuse` makes the response to other requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        public_url: str | None,
        open_paths: Collection[str],
        refuse: Callable[[Scope, ServiceError], Response],
    ) -> None:
        self._app = app
        self._names = {"localhost", urlsplit(public_url or "").hostname}
        self._open = frozenset(open_paths)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            is_own = self._is_own(Headers(scope=scope).get("host", ""))
            set_trusted(scope, is_own and _is_from_this_machine(scope))
            if not is_own and scope["path"] not in self._open:
                error = Misdirected(
                    "Without API keys, this server answers only to `Host` localhost, loopback addresses, and that of "
                    "PUBLIC_URL. Set PUBLIC_URL to the URL that clients use, or set API_KEYS."
                )
                note(scope, code=error.code)
                await self._refuse(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        name = match[1].strip("[]").lower() if match else ""
        try:
            return name in self._names or ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _is_from_this_machine(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and client[0] in ("127.0.0.1", "::1")
