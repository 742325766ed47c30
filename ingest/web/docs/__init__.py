"""Serves `/openapi.json`, and Swagger UI for it at `/docs`."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.web.whole_file import WholeFile

_FOLDER = Path(__file__).parent
_OWN_FILES: Mapping[str, tuple[str, str]] = {
    "/docs": ("index.html", "text/html"),
    "/docs/start.js": ("start.js", "text/javascript"),
    "/docs/page.css": ("page.css", "text/css"),
}
_SWAGGER_FILES: Mapping[str, tuple[str, str]] = {
    "/docs/swagger-ui.js": ("swagger_bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": ("swagger_style.css", "text/css"),
}
_HEADERS: Mapping[str, str] = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
# `data:` is for icons in Swagger UI's style sheet, `blob:` for images in responses.
_POLICY: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

DOCS_PATHS = ("/openapi.json", *_OWN_FILES, *_SWAGGER_FILES)


def docs_routes(describe: Callable[[], Mapping[str, Any]]) -> list[Route]:
    """Returns the routes of `/docs` and `/openapi.json`.

    `describe` makes the document. It is called once, in a thread, because it takes 0.1 s or more.
    """

    @cache
    def body() -> bytes:
        return json.dumps(describe()).encode()

    async def openapi(_request: Request) -> Response:
        return Response(await anyio.to_thread.run_sync(body), headers=_HEADERS, media_type="application/json")

    # Located without importing, which would read the package's nine megabytes into memory twice.
    swagger = Path(str(distribution("offapi").locate_file("offapi")))
    own = [_file_route(path, _FOLDER / name, media_type) for path, (name, media_type) in _OWN_FILES.items()]
    others = [_file_route(path, swagger / name, media_type) for path, (name, media_type) in _SWAGGER_FILES.items()]
    return [Route("/openapi.json", openapi), *own, *others]


def _file_route(path: str, file: Path, media_type: str) -> Route:
    async def serve(_request: Request) -> Response:
        return WholeFile(file, headers={**_HEADERS, **_POLICY}, media_type=media_type)

    return Route(path, serve, methods=["GET"])
