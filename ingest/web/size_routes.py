"""`GET /sizes`: the sizes in force, for clients that make URLs themselves. Public, and cached for minutes."""

import hashlib
import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.serialization.schemas import ConfiguredSizes
from ingest.web.query_parameters import read_query
from proxy.web.caching import matches_etag
from proxy.web.list_headers import join_lines
from proxy.web.variant_routes import CROSS_ORIGIN_HEADERS

SIZES_PATH = "/sizes"
CACHE_CONTROL = "public, max-age=300"
"""Sizes change with a restart; five minutes later all clients know."""


def size_routes(configured: ConfiguredSizes) -> list[Route]:
    """Returns the route. Pages of every site may read the response, as they may show the variants."""
    body = json.dumps(configured).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": CACHE_CONTROL,
        "X-Content-Type-Options": "nosniff",
        **CROSS_ORIGIN_HEADERS,
    }

    async def show(request: Request) -> Response:
        read_query(request, ())
        if matches_etag(etag, join_lines(request.headers, "if-none-match") or ""):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")

    return [Route(SIZES_PATH, show, methods=["GET"])]
