"""`GET|HEAD /images/{uploadId}/{size}.{format}`."""

import re
from collections.abc import Mapping
from time import monotonic

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.derivation.picture import CACHE_CONTROL
from proxy.derivation.service import Derivations, Fetched, Tier
from proxy.errors import Refused, ServiceError, UnknownVariant
from proxy.keys import variant_path
from proxy.model import Format, Sizes, Variant, parse_upload_id
from proxy.web.caching import UnsatisfiableRange, byte_range, http_date, not_modified
from proxy.web.problems import http_error, problem, unexpected, unsatisfiable

_VARIANT_PATH = re.compile(rb"/images/([^/]+)/([^/]*\.[^/]*)")
_CACHE_STATUS = {
    Tier.HOT: "darkroom; hit",
    Tier.STORED: "darkroom; hit",
    Tier.DERIVED: "darkroom; fwd=miss; stored",
    Tier.COLLAPSED: "darkroom; fwd=miss; collapsed",
}


class Variants:
    """Serves variants; every other request goes on to `app`.

    It matches the raw path: `scope["path"]` is decoded, so that an escaped slash is a slash there, and one picture
    would have many names in a cache. Only the canonical spelling is served; anything else is 404 without a look-up.
    """

    def __init__(self, app: ASGIApp, derivations: Derivations, sizes: Sizes) -> None:
        self._app = app
        self._derivations = derivations
        self._sizes = sizes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _VARIANT_PATH.fullmatch(scope["raw_path"]) if scope["type"] == "http" else None
        if match is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            response = await self._respond(request, *(part.decode("latin-1") for part in match.groups()))
        except Exception as error:  # outside of Starlette's own handlers
            response = await unexpected(request, error)
        await response(scope, receive, send)

    async def _respond(self, request: Request, upload_part: str, variant_part: str) -> Response:
        if request.method not in ("GET", "HEAD"):
            return await http_error(request, HTTPException(405, headers={"Allow": "GET, HEAD"}))
        upload_id = parse_upload_id(upload_part)
        canonical = re.sub(r"\.jpeg$", ".jpg", variant_part)
        variant = self._sizes.parse(canonical)
        if upload_id is None or variant is None:
            return problem(UnknownVariant(self._spelling()), cacheable=True)
        if canonical != variant_part:
            return RedirectResponse(variant_path(upload_id, variant), 308, {"Cache-Control": CACHE_CONTROL})
        start = monotonic()
        try:
            fetched = await self._derivations.fetch(upload_id, variant)
        except Refused as error:  # not of what was sent just now, but of what was uploaded
            return problem(error, cacheable=True, status=422)
        except ServiceError as error:
            return problem(error, cacheable=True)
        return answer(request.headers, variant, fetched, monotonic() - start)

    def _spelling(self) -> str:
        return (
            "Variants are /images/{uploadId}/{size}.{format}: a lower-case UUID, one of the sizes "
            f"{', '.join(self._sizes)} (optionally @2x or @3x), one of the formats {', '.join(Format)}."
        )


def answer(request: Headers, variant: Variant, fetched: Fetched, seconds: float) -> Response:
    """200, 206, 304 or 416 for a variant that is here, after `seconds`. The server drops the body of a HEAD."""
    picture = fetched.picture
    modified = picture.last_modified
    headers = {
        "Cache-Control": CACHE_CONTROL,
        "ETag": picture.etag,
        "Last-Modified": http_date(modified),
        "Cache-Tag": picture.cache_tag,
        "Cache-Status": _CACHE_STATUS[fetched.tier],
        "Server-Timing": _server_timing(fetched.timings, seconds),
    }
    if not_modified(picture.etag, modified, request.get("if-none-match"), request.get("if-modified-since")):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        # A picture that some browser would take for a page still runs nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{variant.name}"',
    }
    size = len(picture.body)
    try:
        part = byte_range(size, picture.etag, modified, request.get("range"), request.get("if-range"))
    except UnsatisfiableRange:
        return unsatisfiable(size)
    if part is None:
        return Response(picture.body, 200, headers, picture.format.media_type)
    start, stop = part
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(picture.body[start:stop], 206, headers, picture.format.media_type)


def _server_timing(timings: Mapping[str, float], seconds: float) -> str:
    """Milliseconds by stage; `fetch` is what is not rendering: the store, or waiting for another's derivation."""
    stages = {"fetch": seconds - sum(timings.values()), **timings}
    return ", ".join(f"{stage};dur={max(0.0, duration) * 1000:.1f}" for stage, duration in stages.items())
