"""API keys: `Authorization: Bearer …`, compared in constant time."""

import hmac
from collections.abc import Callable, Collection, Sequence

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import Unauthorized
from proxy.web.middleware.observability import note
from proxy.web.problems import problem

_TRUSTED = "darkroom.trusted"


class RequireApiKey:
    """Requires one of `keys` for requests to `app`, except to `open_paths`. Without keys, lets everything through.

    `refuse` makes the response to other requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Sequence[str],
        open_paths: Collection[str],
        refuse: Callable[[Scope, Unauthorized], Response],
    ) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]
        self._open = frozenset(open_paths)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[_TRUSTED] = self._has_valid_key(scope) if self._keys else _is_local(scope)
            if self._keys and not scope[_TRUSTED] and scope["path"] not in self._open:
                refusal = Unauthorized("Send one of the configured API keys as `Authorization: Bearer KEY`.")
                note(scope, code=refusal.code)
                await self._refuse(scope, refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _has_valid_key(self, scope: Scope) -> bool:
        token = bearer_token(Headers(scope=scope))
        # Compare with every key, so that the duration does not reveal which one was close.
        matches = [hmac.compare_digest(token, key) for key in self._keys]
        return any(matches)


def is_trusted(scope: Scope) -> bool:
    """Whether the client sent a valid key; without keys, whether it is on this machine."""
    return bool(scope.get(_TRUSTED))


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and client[0] in ("127.0.0.1", "::1")


def bearer_token(headers: Headers) -> bytes:
    """The token of `Authorization: Bearer`; empty without one."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def problem_for_all(_scope: Scope, error: Unauthorized) -> Response:
    return problem(error)
