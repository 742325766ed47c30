"""What nginx asks the proxy for on its own behalf."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.errors import UnknownUpload
from proxy.settings import Settings
from proxy.web.private_access import PrivateAccess
from proxy.web.problems import ProblemType, problem_response

VERIFY_PATH = "/private/verify"
FORGET_PATH = "/edge/forgotten"
FORGET_HEADER = "X-Edge-Forget"
"""Of requests that make nginx forget a variant, with EDGE_SECRET, and of the response to them."""

FORGOTTEN_SECONDS = 1
"""How long nginx keeps the 404. It keeps nothing for less."""


def edge_routes(settings: Settings) -> list[Route]:
    return [
        Route(VERIFY_PATH, PrivateAccess(settings).verify, methods=["GET"]),
        Route(FORGET_PATH, forgotten, methods=["GET"]),
    ]


async def forgotten(_request: Request) -> Response:
    """The 404 that takes the place of a variant in nginx's cache, for a second: nginx cannot remove what it keeps."""
    headers = {FORGET_HEADER: "done"}
    return problem_response(
        ProblemType.of(UnknownUpload),
        "This variant was removed from a cache.",
        headers=headers,
        caching=f"max-age={FORGOTTEN_SECONDS}",
    )
