"""Builders of the document's parts: parameters, responses, problems, operations."""

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
    405: {"Allow": {"description": "The supported methods."}},
    416: {"Content-Range": {"pattern": r"^bytes \*/\d+$"}},
    503: _RETRY_AFTER,
}


def parameter(name: str, place: str, schema: Json, description: str) -> Json:
    """A parameter of the request; `place` is `path`, `query` or `header`."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


UPLOAD = parameter("uploadId", "path", {"type": "string", "pattern": f"^{UPLOAD_ID}$"}, "From the upload's response.")


def reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def event(name: str, data: Json) -> Json:
    """The schema of a Server-Sent Event, whose data are text."""
    properties = {"event": {"const": name}, "data": {"type": "string", **data}}
    return {"type": "object", "properties": properties, "required": ["event", "data"]}


def response(description: str, content: Json | None = None, headers: Json | None = None, **more: Any) -> Json:
    """A response. `content`: schemas by media type; an empty schema means bytes. `headers`: schemas of the headers that
    are always sent, strings by default.
    """
    described: Json = {"description": description, **more}
    if content:
        described["content"] = {
            media_type: {"schema": schema} if schema else {} for media_type, schema in content.items()
        }
    if headers:
        described["headers"] = {
            name: {"required": True, "schema": {"type": "string", **schema}} for name, schema in headers.items()
        }
    return described


def json_response(description: str, schema: str, headers: Json | None = None, **more: Any) -> Json:
    """A JSON response with `Cache-Control: no-store`."""
    content = {"application/json": reference(schema)}
    return response(description, content, {"Cache-Control": {"const": NO_STORE}} | (headers or {}), **more)


def operation(
    name: str,
    summary: str,
    *,
    tag: str,
    responses: Json,
    problems: Iterable[type[ServiceError] | ProblemType] = (),
    cacheable: bool = False,
    needs_key: bool = True,
    **more: Any,
) -> Json:
    """An operation with `responses` by status and its problems. `cacheable`: caches may keep 404 and 422."""
    problem_types = [*problems, METHOD_NOT_ALLOWED, INTERNAL, *([Unauthorized] if needs_key else [])]
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        **({} if needs_key else {"security": []}),
        **more,
        "responses": dict(sorted({**responses, **_problems(problem_types, cacheable=cacheable)}.items())),
    }


def _problems(problem_types: Iterable[type[ServiceError] | ProblemType], *, cacheable: bool) -> Json:
    by_status: dict[int, dict[str, str]] = defaultdict(dict)
    for each in problem_types:
        status, code, title = each if isinstance(each, ProblemType) else ProblemType.of(each)
        by_status[status].setdefault(code, title)
    return {str(status): _problem(status, codes, cacheable=cacheable) for status, codes in by_status.items()}


def _problem(status: int, codes: Mapping[str, str], *, cacheable: bool) -> Json:
    restriction = {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}}
    caching = [SHORT, NO_STORE] if cacheable and status in (404, 422) else [NO_STORE]
    headers = {"Cache-Control": {"enum": caching}, "X-Content-Type-Options": {"const": "nosniff"}}
    return response(
        "\n".join(f"- `{code}`: {title}" for code, title in codes.items()),
        {MEDIA_TYPE: {"allOf": [reference("Problem"), restriction]}},
        headers | _HEADERS.get(status, {}),
    )
