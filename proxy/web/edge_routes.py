"""Routes that nginx itself calls: to verify a token, and to replace a variant that it must forget."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.edge_protocol import FORGET_HEADER, FORGET_PATH, FORGOTTEN_AGE
from proxy.errors import UnknownUpload
from proxy.settings import Settings
from proxy.web.private_access import PrivateAccess
from proxy.web.problems import ProblemType, problem_response

VERIFY_PATH = "/private/verify"
EDGE_PATHS = (VERIFY_PATH, FORGET_PATH)


def edge_routes(settings: Settings) -> list[Route]:
    return [
        Route(VERIFY_PATH, PrivateAccess(settings).verify, methods=["GET"]),
        Route(FORGET_PATH, forgotten, methods=["GET"]),
    ]


async def forgotten(_request: Request) -> Response:
    """Returns the 404 that replaces a variant in nginx's cache, because nginx cannot remove entries."""
    caching = f"max-age={FORGOTTEN_AGE}"
    detail = "This variant was removed from a cache."
    return problem_response(ProblemType.of(UnknownUpload), detail, headers={FORGET_HEADER: "done"}, caching=caching)
