"""What calls are described with: parameters, answers, problems."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.errors import ServiceError, Unauthorized
from proxy.model import UPLOAD_ID
from proxy.web.problems import INTERNAL, MEDIA_TYPE, METHOD_NOT_ALLOWED, NO_STORE, SHORT, ProblemType

Json = dict[str, Any]

_RETRY_AFTER: Json = {"Retry-After": {"type": "integer", "minimum": 0, "description": "Seconds."}}
_HEADERS: Mapping[int, Json] = {
    401: {"WWW-Authenticate": {}},
    409: _RETRY_AFTER,
    405: {"Allow": {"description": "The methods that there are."}},
    416: {"Content-Range": {"pattern": r"^bytes \*/\d+$"}},
    503: _RETRY_AFTER,
}


def parameter(name: str, place: str, schema: Json, description: str) -> Json:
    """One of the request's, in its `path`, its `query` or a `header`."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


UPLOAD = parameter(
    "uploadId", "path", {"type": "string", "pattern": f"^{UPLOAD_ID}$"}, "As the upload's answer gave it."
)


def reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def event(name: str, data: Json) -> Json:
    """A Server-Sent Event; its data are text."""
    properties = {"event": {"const": name}, "data": {"type": "string", **data}}
    return {"type": "object", "properties": properties, "required": ["event", "data"]}


def answer(description: str, content: Json | None = None, headers: Json | None = None, **more: Any) -> Json:
    """`content`: schemas by media type, empty for bytes. `headers`: schemas of those that are always there, text unless
    they say otherwise.
    """
    described: Json = {"description": description, **more}
    if content:
        described["content"] = {kind: {"schema": schema} if schema else {} for kind, schema in content.items()}
    if headers:
        described["headers"] = {
            name: {"required": True, "schema": {"type": "string", **schema}} for name, schema in headers.items()
        }
    return described


def document(description: str, schema: str, headers: Json | None = None, **more: Any) -> Json:
    """A JSON document that no cache keeps."""
    content = {"application/json": reference(schema)}
    return answer(description, content, {"Cache-Control": {"const": NO_STORE}} | (headers or {}), **more)


def call(
    name: str,
    summary: str,
    *,
    tag: str,
    answers: Json,
    problems: Iterable[type[ServiceError] | ProblemType] = (),
    cacheable: bool = False,
    needs_key: bool = True,
    **more: Any,
) -> Json:
    """One operation: its `answers` by status, and its problems. `cacheable`: caches may keep 404 and 422."""
    kinds = [*problems, METHOD_NOT_ALLOWED, INTERNAL, *([Unauthorized] if needs_key else [])]
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        **({} if needs_key else {"security": []}),
        **more,
        "responses": dict(sorted({**answers, **_problems(kinds, cacheable=cacheable)}.items())),
    }


def _problems(kinds: Iterable[type[ServiceError] | ProblemType], *, cacheable: bool) -> Json:
    by_status: dict[int, dict[str, str]] = defaultdict(dict)
    for kind in kinds:
        status, code, title = kind if isinstance(kind, ProblemType) else ProblemType.of(kind)
        by_status[status].setdefault(code, title)
    return {str(status): _problem(status, codes, cacheable=cacheable) for status, codes in by_status.items()}


def _problem(status: int, codes: Mapping[str, str], *, cacheable: bool) -> Json:
    exactly = {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}}
    caching = [SHORT, NO_STORE] if cacheable and status in (404, 422) else [NO_STORE]
    headers = {"Cache-Control": {"enum": caching}, "X-Content-Type-Options": {"const": "nosniff"}}
    return answer(
        "\n".join(f"- `{code}`: {title}" for code, title in codes.items()),
        {MEDIA_TYPE: {"allOf": [reference("Problem"), exactly]}},
        headers | _HEADERS.get(status, {}),
    )
