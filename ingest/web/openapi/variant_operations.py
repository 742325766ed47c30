"""Variants, as the proxy serves them."""

from ingest.web.openapi.parts import UPLOAD, Json, answer, call, parameter
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
_UPLOADED = (
    errors.UnsupportedFormat,
    errors.TooSmall,
    errors.TooManyPixels,
    errors.TooHeavy,
    errors.Undecodable,
    errors.OriginalDamaged,
)
_TROUBLE = (
    errors.Unavailable,
    errors.StoreUnavailable,
    errors.Overloaded,
    errors.RenderFailed,
    errors.DerivationTimeout,
)
_ABOUT = (
    "Derived on the first request, kept and served from then on. `auto` answers with what suits `Accept` and the "
    "picture; `jpeg` redirects to `jpg`. Any other spelling is 404."
)


def variant_paths(sizes: Sizes) -> Json:
    get = _call("getVariant", "A variant", _get_answers(), _conditions() + _ranges(), UNSATISFIABLE)
    head = _call("headVariant", "A variant's headers", _answers(None), _conditions())
    return {"/images/{uploadId}/{size}.{format}": {"parameters": _name(sizes), "get": get, "head": head}}


def _call(name: str, summary: str, answers: Json, parameters: list[Json], *problems: ProblemType) -> Json:
    return call(
        name,
        summary,
        tag="Variants",
        description=_ABOUT,
        parameters=parameters,
        answers=answers,
        problems=[
            errors.NotFound,
            *(ProblemType.of(error)._replace(status=422) for error in _UPLOADED),
            *_TROUBLE,
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
        parameter("If-Modified-Since", "header", text, "Counts where no ETag is sent."),
    ]


def _ranges() -> list[Json]:
    """For GET; of other methods a range is ignored (RFC 9110, 14.2)."""
    text = {"type": "string"}
    return [
        parameter("Range", "header", text, "One range, as `bytes=0-99`; anything else is ignored."),
        parameter("If-Range", "header", text, "The ETag or date for which the range counts."),
    ]


def _get_answers() -> Json:
    content: Json = {format.media_type: {} for format in Format}
    part = answer("A part of it.", content, _PICTURE | {"Content-Range": {}})
    return _answers(content) | {"206": _varying(part)}


def _answers(content: Json | None) -> Json:
    length = {"Content-Length": {"type": "integer", "minimum": 1}}
    moved = {"Location": {}, "Cache-Control": {"const": CACHE_CONTROL}}
    return {
        "200": _varying(answer("The picture.", content, _PICTURE | length)),
        "304": _varying(answer("The client has it already.", headers=_IDENTITY)),
        "308": answer("`.jpeg` is spelled `.jpg`.", headers=moved),
    }


def _varying(answer: Json) -> Json:
    """With the headers of `.auto` alone."""
    named = {"schema": {"type": "string"}, "description": "Of `.auto`: the URL of what was chosen."}
    answer["headers"] |= {
        "Vary": {"schema": {"const": "Accept"}, "description": "Of `.auto`."},
        "Content-Location": named,
    }
    return answer
