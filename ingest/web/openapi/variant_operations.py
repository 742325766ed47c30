"""Operations on variants."""

from ingest.web.openapi.parts import UPLOAD, Json, operation, parameter, response
from proxy import errors
from proxy.model import DENSITIES, Format, Size, Sizes, Variant
from proxy.variants.encoded_variant import CACHE_CONTROL
from proxy.web.problems import UNSATISFIABLE, ProblemType
from proxy.web.variant_routes import CACHE_STATUS

_IDENTITY: Json = {
    "Cache-Control": {"const": CACHE_CONTROL},
    "ETag": {"pattern": '^"[^"]+"$'},
    "Last-Modified": {},
    "Cache-Tag": {"description": "For purging by tag."},
    "Cache-Status": {"enum": sorted(set(CACHE_STATUS.values())), "description": "RFC 9211."},
    "Server-Timing": {"description": "Milliseconds by stage."},
}
_PICTURE: Json = {
    **_IDENTITY,
    "Accept-Ranges": {"const": "bytes"},
    "Content-Disposition": {},
    "Content-Security-Policy": {},
    "X-Content-Type-Options": {"const": "nosniff"},
}
_BAD_ORIGINAL = (
    errors.UnsupportedFormat,
    errors.TooSmall,
    errors.TooManyPixels,
    errors.TooHeavy,
    errors.Undecodable,
    errors.OriginalDamaged,
)
_UNAVAILABLE = (
    errors.Unavailable,
    errors.StoreUnavailable,
    errors.Overloaded,
    errors.RenderFailed,
    errors.DerivationTimeout,
)
_ABOUT = (
    "Derived on the first request, then stored. `auto` chooses the format by `Accept` and the image's transparency; "
    "`jpeg` redirects to `jpg`. Any other spelling is 404."
)


def variant_paths(sizes: Sizes) -> Json:
    get = _operation("getVariant", "Get a variant", _get_responses(), _conditions() + _ranges(), UNSATISFIABLE)
    head = _operation("headVariant", "Get a variant's headers", _responses(None), _conditions())
    return {"/images/{uploadId}/{size}.{format}": {"parameters": _name(sizes), "get": get, "head": head}}


def _operation(name: str, summary: str, responses: Json, parameters: list[Json], *problems: ProblemType) -> Json:
    return operation(
        name,
        summary,
        tag="Variants",
        description=_ABOUT,
        parameters=parameters,
        responses=responses,
        problems=[
            errors.NotFound,
            *(ProblemType.of(error)._replace(status=422) for error in _BAD_ORIGINAL),
            *_UNAVAILABLE,
            *problems,
        ],
        cacheable=True,
        needs_key=False,
    )


def _name(sizes: Sizes) -> list[Json]:
    names = [_size_name(size, density) for size in sizes.values() for density in DENSITIES]
    formats = [*(format.value for format in Format), "auto", "jpeg"]
    return [
        UPLOAD,
        parameter("size", "path", {"enum": names}, "A configured size; `@2x` and `@3x` are for dense screens."),
        parameter("format", "path", {"enum": formats}, "The file's extension."),
    ]


def _size_name(size: Size, density: int) -> str:
    return Variant(size, Format.JPG, density).size_name


def _conditions() -> list[Json]:
    text = {"type": "string"}
    return [
        parameter("If-None-Match", "header", text, "ETags that the client has."),
        parameter("If-Modified-Since", "header", text, "Used if no ETag is sent."),
    ]


def _ranges() -> list[Json]:
    """Parameters of GET; other methods ignore ranges (RFC 9110, 14.2)."""
    text = {"type": "string"}
    return [
        parameter("Range", "header", text, "One range, as `bytes=0-99`; anything else is ignored."),
        parameter("If-Range", "header", text, "The ETag or date for which the range is valid."),
    ]


def _get_responses() -> Json:
    content: Json = {format.media_type: {} for format in Format}
    part = response("A part of the file.", content, _PICTURE | {"Content-Range": {}})
    return _responses(content) | {"206": _varying(part)}


def _responses(content: Json | None) -> Json:
    length = {"Content-Length": {"type": "integer", "minimum": 1}}
    moved = {"Location": {}, "Cache-Control": {"const": CACHE_CONTROL}}
    return {
        "200": _varying(response("The variant.", content, _PICTURE | length)),
        "304": _varying(response("The client's copy is current.", headers=_IDENTITY)),
        "308": response("`.jpeg` redirects to `.jpg`.", headers=moved),
    }


def _varying(described: Json) -> Json:
    """Adds the headers that only `.auto` has."""
    named = {"schema": {"type": "string"}, "description": "Of `.auto`: the URL of the chosen format."}
    described["headers"] |= {
        "Vary": {"schema": {"const": "Accept"}, "description": "Of `.auto`."},
        "Content-Location": named,
    }
    return described
