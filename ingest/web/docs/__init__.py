"""Serves `/openapi.json`, and Swagger UI for it at `/docs`."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent
# Located without importing, which would read the package's nine megabytes into memory twice.
_SWAGGER = Path(str(distribution("offapi").locate_file("offapi")))
_FILES: Mapping[str, tuple[Path, str]] = {
    "/docs": (_FOLDER / "index.html", "text/html"),
    "/docs/start.js": (_FOLDER / "start.js", "text/javascript"),
    "/docs/swagger-ui.js": (_SWAGGER / "swagger_bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": (_SWAGGER / "swagger_style.css", "text/css"),
}
_HEADERS: Mapping[str, str] = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
# `data:` is for icons in Swagger UI's style sheet, `blob:` for pictures in responses.
_POLICY: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

DOCS_PATHS = ("/openapi.json", *_FILES)


def docs_routes(describe: Callable[[], Mapping[str, Any]]) -> list[Route]:
    """`describe` returns the OpenAPI document. It runs in a thread on the first request, as it takes 0.1 s or more."""

    @cache
    def body() -> bytes:
        return json.dumps(describe()).encode()

    async def openapi(_request: Request) -> Response:
        return Response(await anyio.to_thread.run_sync(body), headers=_HEADERS, media_type="application/json")

    return [Route("/openapi.json", openapi), *(Route(path, _serve, methods=["GET"]) for path in _FILES)]


async def _serve(request: Request) -> Response:
    path, media_type = _FILES[request.url.path]
    return FileResponse(path, headers={**_HEADERS, **_POLICY}, media_type=media_type)
