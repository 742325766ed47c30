"""`GET /page/access`: what the upload page may offer to the holder of a key. It hides the other controls."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from proxy.errors import Unauthorized
from proxy.settings import KeyScope, Settings
from proxy.web.middleware.authentication import granted_scopes

ACCESS_PATH = "/page/access"


class PageAccess(TypedDict):
    """`keyRequired`: whether calls need an API key. `scopes`: what the request's key allows; without keys, everything.

    `metrics`: whether a link to `/metrics` works in this browser. `privateImages`: whether tokens can be signed.
    """

    keyRequired: bool
    scopes: list[KeyScope]
    metrics: bool
    privateImages: bool


def access_routes(settings: Settings) -> list[Route]:
    """Returns the route. It is open: without a key, it tells no more than a 401 does."""
    key_required = bool(settings.api_keys)
    # A link sends no key. `PUBLIC_URL` is the edge's address, and edges block the path.
    metrics = not key_required and settings.public_url is None

    async def show(request: Request) -> Response:
        scopes = granted_scopes(request.scope) if key_required else frozenset(KeyScope)
        if key_required and not scopes and "authorization" in request.headers:
            raise Unauthorized("Send one of the configured API keys as `Authorization: Bearer KEY`.")
        document: PageAccess = {
            "keyRequired": key_required,
            "scopes": [scope for scope in KeyScope if scope in scopes],
            "metrics": metrics,
            "privateImages": bool(settings.signing_keys),
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})

    return [Route(ACCESS_PATH, show, methods=["GET"])]
