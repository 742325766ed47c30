"""`GET|HEAD /images/{uploadId}/{size}.{format}`, and `.auto` for the format that suits the client."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from proxy.errors import Refused, ServiceError, UnknownVariant
from proxy.keys import variant_path
from proxy.model import Format, Sizes, UploadId, Variant, parse_upload_id
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import Tracing
from proxy.variants.encoded_variant import CACHE_CONTROL, EncodedVariant
from proxy.variants.results import Fetched, Tier
from proxy.variants.transparency import Transparency
from proxy.variants.variant_service import VariantService
from proxy.web.caching import UnsatisfiableRange, byte_range, http_date, not_modified
from proxy.web.middleware.observability import VARIANT_ROUTE, Observability, note, route_is
from proxy.web.middleware.security_headers import Header, SecurityHeaders, secured
from proxy.web.negotiation import new_format
from proxy.web.problems import http_error, problem, unexpected, unsatisfiable

_VARIANT_PATH = re.compile(rb"/images/([^/]+)/([^/]*\.[^/]*)")
CACHE_STATUS = {
    Tier.MEMORY: "darkroom; hit",
    Tier.STORED: "darkroom; hit",
    Tier.DERIVED: "darkroom; fwd=miss; stored",
    Tier.COLLAPSED: "darkroom; fwd=miss; collapsed",
}
_EMBEDDABLE = {"Cross-Origin-Resource-Policy": "cross-origin"}
"""On whatever is answered, for a redirect and a 304 count for the picture, too."""
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"range"})
_REMEMBERED = 10_000  # paths, of half a kilobyte each, and heads of answers, of one and a half
_LONGEST = 256  # bytes of a path that is remembered; variants' have 90 at most, and nobody's may fill the memory


class _Named(NamedTuple):
    """What a path names. `canonical`: it is spelled as its URL is. `auto`: in whatever format suits."""

    upload_id: UploadId
    variant: Variant
    canonical: bool
    auto: bool


class Variants:
    """Serves variants; every other request goes on to `app`. All answers get the headers of `SecurityHeaders`.

    It matches the raw path: `scope["path"]` is decoded, so that an escaped slash is a slash there, and one picture
    would have many names in a cache. Only the canonical spelling is served; anything else is 404 without a look-up.
    """

    def __init__(
        self,
        app: ASGIApp,
        variant_service: VariantService,
        transparency: Transparency,
        sizes: Sizes,
        *,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._app = app
        self._rest = SecurityHeaders(Observability(self._serve, metrics, tracing))
        self._variant_service = variant_service
        self._transparency = transparency
        self._sizes = sizes
        self._parsed = lru_cache(_REMEMBERED)(self._parse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = self._named(scope)
        if isinstance(named, _Named) and _plain(scope, named) and (hot := self._variant_service.hot(*named[:2])):
            await send({"type": "http.response.start", "status": 200, "headers": _hot_head(hot, named.variant)})
            await send({"type": "http.response.body", "body": hot.body})
            return
        await self._rest(scope, receive, send)

    def _named(self, scope: Scope) -> _Named | UnknownVariant | None:
        if scope["type"] != "http":
            return None
        raw_path = scope["raw_path"]
        return self._parsed(raw_path) if len(raw_path) <= _LONGEST else self._parse(raw_path)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = self._named(scope)
        if named is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            response = await self._respond(request, named)
        except Exception as error:  # outside of Starlette's own handlers
            response = await unexpected(request, error)
        response.headers.update(_EMBEDDABLE)
        await response(scope, receive, send)

    def _parse(self, raw_path: bytes) -> _Named | UnknownVariant | None:
        """None for a path that is not a variant's at all."""
        match = _VARIANT_PATH.fullmatch(raw_path)
        if match is None:
            return None
        upload_part, variant_part = (part.decode("latin-1") for part in match.groups())
        auto = variant_part.endswith(".auto")
        canonical = re.sub(r"\.jpeg$", ".jpg", variant_part)
        upload_id = parse_upload_id(upload_part)
        variant = self._sizes.parse(variant_part.removesuffix(".auto") + ".jpg" if auto else canonical)
        if upload_id is None or variant is None:
            return UnknownVariant(self._spelling())
        return _Named(upload_id, variant, canonical == variant_part, auto)

    async def _respond(self, request: Request, named: _Named | UnknownVariant) -> Response:
        route_is(request.scope, VARIANT_ROUTE)
        if request.method not in ("GET", "HEAD"):
            return await http_error(request, HTTPException(405, headers={"Allow": "GET, HEAD"}))
        if isinstance(named, UnknownVariant):
            return problem(named, cacheable=True)
        upload_id, variant = named.upload_id, named.variant
        note(request.scope, upload=upload_id, variant=variant.name)
        if not named.canonical:
            return RedirectResponse(variant_path(upload_id, variant), 308, {"Cache-Control": CACHE_CONTROL})
        start = monotonic()
        try:
            variant, fetched = await self._fetch(named, request.headers.get("accept"))
            note(request.scope, tier=fetched.tier.value, variant=variant.name)
            response = answer(request.method, request.headers, variant, fetched, monotonic() - start)
            if named.auto:
                response.headers["Content-Location"] = variant_path(upload_id, variant)
        except ServiceError as error:
            note(request.scope, code=error.code)
            with bound_contextvars(upload=upload_id, variant=variant.name):  # for what is logged of it
                # Refused is not what was sent just now, but what was uploaded.
                response = problem(error, cacheable=True, status=422 if isinstance(error, Refused) else None)
        if named.auto:
            response.headers["Vary"] = "Accept"  # also on refusals: another format may be lighter
        return response

    async def _fetch(self, named: _Named, accept: str | None) -> tuple[Variant, Fetched]:
        upload_id, variant = named.upload_id, named.variant
        if named.auto and (format := new_format(accept)):
            variant = replace(variant, format=format)
        fetched = await self._variant_service.fetch(upload_id, variant)
        if named.auto and variant.format is Format.JPG and await self._transparency.of(upload_id, variant):
            variant = replace(variant, format=Format.PNG)
            fetched = await self._variant_service.fetch(upload_id, variant)
        return variant, fetched

    def _spelling(self) -> str:
        return (
            "Variants are /images/{uploadId}/{size}.{format}: a lower-case UUID, one of the sizes "
            f"{', '.join(self._sizes)} (optionally @2x or @3x), one of the formats {', '.join(Format)}, auto."
        )


def answer(method: str, request: Headers, variant: Variant, fetched: Fetched, seconds: float) -> Response:
    """200, 206, 304 or 416 for a variant that is here, after `seconds`. The server drops the body of a HEAD."""
    picture = fetched.encoded
    modified = picture.last_modified
    headers = _identity(picture.etag, modified, picture.cache_tag) | {
        "Cache-Status": CACHE_STATUS[fetched.tier],
        "Server-Timing": _server_timing(fetched.timings, seconds),
    }
    if not_modified(picture.etag, modified, request.get("if-none-match"), request.get("if-modified-since")):
        return Response(status_code=304, headers=headers)
    headers |= _safety(variant.name)
    size = len(picture.body)
    wanted = request.get("range") if method == "GET" else None  # RFC 9110, 14.2: of other methods it is ignored
    try:
        part = byte_range(size, picture.etag, modified, wanted, request.get("if-range"))
    except UnsatisfiableRange:
        return unsatisfiable(size)
    if part is None:
        return Response(picture.body, 200, headers, picture.format.media_type)
    start, stop = part
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(picture.body[start:stop], 206, headers, picture.format.media_type)


def _identity(etag: str, modified: datetime, cache_tag: str) -> dict[str, str]:
    return {
        "Cache-Control": CACHE_CONTROL,
        "ETag": etag,
        "Last-Modified": http_date(modified),
        "Cache-Tag": cache_tag,
        "X-Amz-Meta-Cache-Tag": cache_tag,  # what S3 calls it: CloudFront reads one name from both
    }


def _safety(name: str) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        # A picture that some browser would take for a page still runs nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{name}"',
    }


def _plain(scope: Scope, named: _Named) -> bool:
    """Whether it asks for the whole of one variant, unconditionally: nearly every request does."""
    whole = not any(name in _CONDITIONS for name, _ in scope["headers"])
    return whole and named.canonical and not named.auto and scope["method"] == "GET"


def _hot_head(picture: EncodedVariant, variant: Variant) -> list[tuple[bytes, bytes]]:
    return _prepared(picture.etag, picture.last_modified, picture.cache_tag, variant.name, len(picture.body))


@lru_cache(_REMEMBERED)
def _prepared(etag: str, modified: datetime, cache_tag: str, name: str, size: int) -> list[tuple[bytes, bytes]]:
    """All headers of a picture from memory, as ASGI has them; by values, so as not to keep its bytes."""
    headers = _identity(etag, modified, cache_tag) | _safety(name) | _EMBEDDABLE
    headers |= {
        "Cache-Status": CACHE_STATUS[Tier.MEMORY],
        "Server-Timing": _server_timing({}, 0.0),
        "Content-Type": Format(name.rpartition(".")[2]).media_type,
        "Content-Length": str(size),
    }
    return secured(_header(name, value) for name, value in headers.items())


@lru_cache(256)
def _header(name: str, value: str) -> Header:
    """The same object for the same header: most of them are those of every picture."""
    return name.lower().encode(), value.encode()


def _server_timing(timings: Mapping[str, float], seconds: float) -> str:
    """Milliseconds by stage; `fetch` is what is not rendering: the store, or waiting for another's derivation."""
    stages = {"fetch": seconds - sum(timings.values()), **timings}
    return ", ".join(f"{stage};dur={max(0.0, duration) * 1000:.1f}" for stage, duration in stages.items())
