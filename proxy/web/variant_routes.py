"""`GET|HEAD /images/{uploadId}/{size}.{format}` or `/private/…`, and `.auto` for a format by the client's `Accept`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from proxy.errors import InvalidToken, Refused, ServiceError, UnknownVariant
from proxy.model import Format, Sizes, UploadId, Variant, Visibility, parse_upload_id
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import Tracing
from proxy.variants.encoded_variant import CACHE_CONTROL, EncodedVariant
from proxy.variants.results import Fetched, Tier
from proxy.variants.variant_service import VariantService
from proxy.web.caching import UnsatisfiableRange, byte_range, http_date, is_not_modified
from proxy.web.list_headers import join_lines
from proxy.web.middleware.observability import PRIVATE_VARIANT_ROUTE, VARIANT_ROUTE, Observability, note, set_route
from proxy.web.middleware.security_headers import SecurityHeaders, secured
from proxy.web.negotiation import modern_format
from proxy.web.private_access import PrivateAccess
from proxy.web.problems import on_http_error, on_unexpected_error, problem, unsatisfiable
from proxy.web.variant_http import Hit

_VARIANT_PATH = re.compile(rb"/(images|private)/([^/]+)/([^/]*\.[^/]*)")
_VISIBILITY = {b"images": Visibility.PUBLIC, b"private": Visibility.PRIVATE}
CACHE_STATUS = {
    Tier.MEMORY: "darkroom; hit",
    Tier.STORED: "darkroom; hit",
    Tier.DERIVED: "darkroom; fwd=miss; stored",
    Tier.COLLAPSED: "darkroom; fwd=miss; collapsed",
}
CROSS_ORIGIN_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Content-Range, Content-Location, Retry-After, Cache-Status, Server-Timing",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Timing-Allow-Origin": "*",
}
"""Let pages of every site show, read and time variants. On every response: browsers check redirects and errors too, and
a response that they cached for a plain `<img>` also answers a later `<img crossorigin>`."""
_MAX_CACHED = 10_000  # parsed paths, of half a kilobyte each, and response heads, of one and a half
_MAX_CACHED_PATH = 256  # bytes; a variant's path has at most 90, and longer ones must not fill the memory


class _VariantPath(NamedTuple):
    """A parsed path. `canonical`: False for `.jpeg`, which redirects to `.jpg`. `auto`: the format is negotiated."""

    upload_id: UploadId
    variant: Variant
    canonical: bool
    auto: bool

    @property
    def is_private(self) -> bool:
        return self.variant.visibility is Visibility.PRIVATE


class VariantMiddleware:
    """Serves variants and passes every other request to `app`. Adds `SecurityHeaders` to all responses.

    Matches the raw path. In `scope["path"]`, which is decoded, an escaped slash looks like a slash, so one variant
    would have many names in a cache. Any spelling but the canonical one is 404 without a store look-up.
    """

    def __init__(
        self,
        app: ASGIApp,
        variant_service: VariantService,
        sizes: Sizes,
        *,
        private_access: PrivateAccess,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._app = app
        self._observed = SecurityHeaders(Observability(self._serve, metrics, tracing))
        self._variant_service = variant_service
        self._sizes = sizes
        self._private_access = private_access
        self._parse_cached = lru_cache(_MAX_CACHED)(self._parse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._observed(scope, receive, send)

    def find_hit(self, raw_path: bytes, if_none_match: bytes | None) -> Hit | None:
        """Returns the response to a GET without other conditions if the memory cache has the variant.

        It is the response that the application would send, except that `Server-Timing` says 0. It is counted as a hit,
        but not logged.
        """
        path = self._variant_path(raw_path)
        if not isinstance(path, _VariantPath) or path.auto or not path.canonical or path.is_private:
            return None
        cached = self._variant_service.find_in_memory(path.upload_id, path.variant)
        if cached is None:
            return None
        etags = None if if_none_match is None else if_none_match.decode("latin-1")
        if etags and is_not_modified(cached.etag, cached.last_modified, etags, None):
            return _hit_head(cached, path.variant, 304), b""
        return _hit_head(cached, path.variant, 200), cached.body

    def _variant_path(self, raw_path: bytes) -> _VariantPath | UnknownVariant | None:
        return self._parse_cached(raw_path) if len(raw_path) <= _MAX_CACHED_PATH else self._parse(raw_path)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._variant_path(scope["raw_path"]) if scope["type"] == "http" else None
        if path is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            response = await self._respond(request, path)
        except Exception as error:  # this runs outside of Starlette's exception handlers
            response = await on_unexpected_error(request, error)
        response.headers.update(CROSS_ORIGIN_HEADERS)
        await response(scope, receive, send)

    def _parse(self, raw_path: bytes) -> _VariantPath | UnknownVariant | None:
        """Returns the variant that a path names; UnknownVariant for a misspelt one; None for any other path."""
        match = _VARIANT_PATH.fullmatch(raw_path)
        if match is None:
            return None
        upload_part, variant_part = (part.decode("latin-1") for part in match.groups()[1:])
        auto = variant_part.endswith(".auto")
        canonical = re.sub(r"\.jpeg$", ".jpg", variant_part)
        upload_id = parse_upload_id(upload_part)
        # Every size has JPEG or PNG.
        names = [canonical.removesuffix("auto") + each for each in (Format.JPG, Format.PNG)] if auto else [canonical]
        found = (self._sizes.parse(name, _VISIBILITY[match[1]]) for name in names)
        variant = next(filter(None, found), None)
        if upload_id is None or variant is None:
            return UnknownVariant(self._describe_paths())
        return _VariantPath(upload_id, variant, canonical == variant_part, auto)

    async def _respond(self, request: Request, path: _VariantPath | UnknownVariant) -> Response:
        is_private = request.scope["raw_path"].startswith(b"/private/")
        set_route(request.scope, PRIVATE_VARIANT_ROUTE if is_private else VARIANT_ROUTE)
        if request.method not in ("GET", "HEAD"):
            return await on_http_error(request, HTTPException(405, headers={"Allow": "GET, HEAD"}))
        if isinstance(path, UnknownVariant):
            return problem(path, cacheable=True)
        upload_id, variant, caching = path.upload_id, path.variant, CACHE_CONTROL
        note(request.scope, upload=upload_id, variant=variant.name)
        if path.is_private:
            try:
                caching = self._private_access.check(upload_id, request.headers, request.query_params)
            except InvalidToken as error:
                return problem(error)
        if not path.canonical:
            # Relative, like Content-Location: right below any path and host, also in caches that keep it for a year.
            token = request.query_params.get("token") if path.is_private else None  # it was checked
            query = f"?token={token}" if token else ""
            return RedirectResponse(variant.name + query, 308, {"Cache-Control": caching})
        start = monotonic()
        try:
            variant, fetched = await self._fetch(path, join_lines(request.headers, "accept"))
            note(request.scope, tier=fetched.tier.value, variant=variant.name)
            seconds = monotonic() - start
            response = variant_response(
                request.method, request.headers, variant, fetched, seconds=seconds, caching=caching
            )
            if path.auto:
                response.headers["Content-Location"] = variant.name
        except ServiceError as error:
            with bound_contextvars(upload=upload_id, variant=variant.name):  # for the log line of `problem`
                # Not 400: the fault is in the original, not in this request.
                status = 422 if isinstance(error, Refused) else None
                response = problem(error, cacheable=not path.is_private, status=status)
        if path.auto:
            response.headers["Vary"] = "Accept"  # on errors too: another format may need less memory
        return response

    async def _fetch(self, path: _VariantPath, accept: str | None) -> tuple[Variant, Fetched]:
        if not path.auto:
            return path.variant, await self._variant_service.fetch(path.upload_id, path.variant)
        size = path.variant.size
        format = modern_format(accept, size.formats)
        animation = modern_format(accept, (Format.WEBP,)) if size.animated else None
        if animation and await self._variant_service.is_animated(path.upload_id, path.variant):
            format = animation
        if format is None:
            has_choice = size.fallback(alpha=True) is not size.fallback(alpha=False)
            alpha = has_choice and await self._variant_service.has_alpha(path.upload_id, path.variant)
            format = size.fallback(alpha)
        variant = replace(path.variant, format=format)
        return variant, await self._variant_service.fetch(path.upload_id, variant)

    def _describe_paths(self) -> str:
        return (
            "Variants are /images/{uploadId}/{size}.{format}, those of private uploads "
            "/private/{uploadId}/{size}.{format}: a lower-case UUID, one of the sizes "
            f"{', '.join(self._sizes)} (optionally @2x or @3x), one of the size's formats out of "
            f"{', '.join(Format)}, or auto."
        )


def variant_response(
    method: str, request: Headers, variant: Variant, fetched: Fetched, *, seconds: float, caching: str
) -> Response:
    """Returns 200, 206, 304 or 416 for a variant that took `seconds` to get. The server drops the body of a HEAD."""
    encoded = fetched.encoded
    modified = encoded.last_modified
    headers = _identity_headers(encoded.etag, modified, encoded.cache_tag, caching) | {
        "Cache-Status": CACHE_STATUS[fetched.tier],
        "Server-Timing": _server_timing(fetched.timings, seconds),
    }
    if is_not_modified(encoded.etag, modified, join_lines(request, "if-none-match"), request.get("if-modified-since")):
        return Response(status_code=304, headers=headers)
    headers |= _safety_headers(variant.name)
    size = len(encoded.body)
    wanted = request.get("range") if method == "GET" else None  # RFC 9110, 14.2: ignored for other methods
    try:
        part = byte_range(size, encoded.etag, modified, wanted, request.get("if-range"))
    except UnsatisfiableRange:
        return unsatisfiable(size)
    if part is None:
        return Response(encoded.body, 200, headers, encoded.format.media_type)
    start, stop = part
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(encoded.body[start:stop], 206, headers, encoded.format.media_type)


def _identity_headers(etag: str, modified: datetime, cache_tag: str, caching: str = CACHE_CONTROL) -> dict[str, str]:
    return {
        "Cache-Control": caching,
        "ETag": etag,
        "Last-Modified": http_date(modified),
        "Cache-Tag": cache_tag,
        "X-Amz-Meta-Cache-Tag": cache_tag,  # the name that S3 uses: CloudFront reads the same name from both origins
    }


def _safety_headers(name: str) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        # Even if a browser renders the file as a page, no script runs.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{name}"',
    }


def _hit_head(encoded: EncodedVariant, variant: Variant, status: int) -> bytes:
    identity = encoded.etag, encoded.last_modified, encoded.cache_tag
    return _build_head(identity, variant, len(encoded.body), status)


@lru_cache(_MAX_CACHED)
def _build_head(identity: tuple[str, datetime, str], variant: Variant, size: int, status: int) -> bytes:
    """The head of a hit, without its last line. Takes plain values, so that `lru_cache` keeps no bodies alive."""
    headers = _identity_headers(*identity) | CROSS_ORIGIN_HEADERS
    headers |= {"Cache-Status": CACHE_STATUS[Tier.MEMORY], "Server-Timing": _server_timing({}, 0.0)}
    if status == HTTPStatus.OK:
        headers |= _safety_headers(variant.name)
        headers |= {"Content-Type": variant.format.media_type, "Content-Length": str(size)}
    lines = secured((name.lower().encode(), value.encode()) for name, value in headers.items())
    start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return start + b"".join(b"%s: %s\r\n" % line for line in lines)


def _server_timing(timings: Mapping[str, float], seconds: float) -> str:
    """Milliseconds by stage. `fetch` is everything except rendering: the store, or the wait for another derivation."""
    stages = {"fetch": seconds - sum(timings.values()), **timings}
    return ", ".join(f"{stage};dur={max(0.0, duration) * 1000:.1f}" for stage, duration in stages.items())
