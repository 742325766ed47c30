"""The upload page: files served as they are."""

from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent
_FILES = {"/": "index.html", "/page/style.css": "style.css"}
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

PAGE_PATHS = tuple(_FILES)


def page_routes() -> list[Route]:
    return [Route(path, _serve, methods=["GET"]) for path in _FILES]


async def _serve(request: Request) -> Response:
    return FileResponse(_FOLDER / _FILES[request.url.path], headers=_HEADERS)
