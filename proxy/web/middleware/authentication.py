"""API keys: `Authorization: Bearer …`, compared in constant time, and their scopes."""

import hmac
from collections.abc import Callable, Collection, Sequence

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import Forbidden, ServiceError, Unauthorized
from proxy.settings import ApiKey, KeyScope
from proxy.web.middleware.observability import note
from proxy.web.problems import problem

_TRUSTED = "darkroom.trusted"
_CALLER = "darkroom.caller"
_KEY_SCOPES = "darkroom.key_scopes"
_SCOPES = {
    "GET": (KeyScope.READ,),
    "HEAD": (KeyScope.READ,),
    "POST": (KeyScope.UPLOAD,),
    "PATCH": (KeyScope.UPLOAD, KeyScope.READ),  # it answers with the upload, which another key may have made
    "DELETE": (KeyScope.DELETE,),
}


class RequireApiKey:
    """Requires one of `keys` for requests to `app`, except to `open_paths`.

    The method decides which scopes the key needs. `refuse` makes the response to other requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Sequence[ApiKey],
        open_paths: Collection[str],
        refuse: Callable[[Scope, ServiceError], Response],
    ) -> None:
        self._app = app
        self._keys = [(key.secret.get_secret_value().encode(), key) for key in keys]
        self._open = frozenset(open_paths)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            key = self._find_key(scope)
            set_trusted(scope, key is not None)
            if key is not None:
                scope[_CALLER] = key.name
                scope[_KEY_SCOPES] = frozenset(each for each in KeyScope if key.allows(each))
                note(scope, key=key.name)
            if scope["path"] not in self._open and (refusal := _check(key, scope["method"])):
                note(scope, code=refusal.code)
                await self._refuse(scope, refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _find_key(self, scope: Scope) -> ApiKey | None:
        token = bearer_token(Headers(scope=scope))
        # Compare with every key, so that the duration does not reveal which one was close.
        matches = [key for secret, key in self._keys if hmac.compare_digest(token, secret)]
        return matches[0] if matches else None


def _check(key: ApiKey | None, method: str) -> ServiceError | None:
    """Returns why the request is refused. A method without a scope of its own needs `admin`."""
    if key is None:
        return Unauthorized("Send one of the configured API keys as `Authorization: Bearer KEY`.")
    lacking = [scope for scope in _SCOPES.get(method, (KeyScope.ADMIN,)) if not key.allows(scope)]
    if not lacking:
        return None
    return Forbidden(f"The key {key.name} lacks the scope `{lacking[0]}`. Use another key.")


def caller(scope: Scope) -> str:
    """Returns the name of the request's API key, empty without keys."""
    return str(scope.get(_CALLER, ""))


def granted_scopes(scope: Scope) -> frozenset[KeyScope]:
    """Returns the scopes of the request's API key; none without a valid key."""
    granted: frozenset[KeyScope] = scope.get(_KEY_SCOPES, frozenset())
    return granted


def set_trusted(scope: Scope, value: bool) -> None:
    """Records whether the client is trusted, as `is_trusted` returns it."""
    scope[_TRUSTED] = value


def is_trusted(scope: Scope) -> bool:
    """Whether the client sent a valid key; without keys, whether it is on this machine and names it."""
    return bool(scope.get(_TRUSTED))


def bearer_token(headers: Headers) -> bytes:
    """Returns the token of `Authorization: Bearer`; empty without one."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def problem_for_all(_scope: Scope, error: ServiceError) -> Response:
    """Responds with a problem document to every refused request."""
    return problem(error)
