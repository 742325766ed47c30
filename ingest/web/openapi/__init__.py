"""The OpenAPI document for the settings in force: `template.json`, filled in.

The template is an OpenAPI document with four additions:
- `{{name}}` stands for a value of `_values`, `{{module:NAME}}` for a constant.
- `problems` names the errors that a call can raise. They become responses.
- `headers` of a response names groups of headers, which are at the end.
- "uploadId" in `parameters` stands for the parameter of this name, which is at the end, too.
"""

import json
import re
from collections import ChainMap, defaultdict
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import is_typeddict

import ingest.ingest_errors
import proxy.errors
from ingest.serialization import schemas
from proxy.model import DENSITIES, Format, Sizes, SourceFormat, Variant
from proxy.settings import Settings
from proxy.web import health, problems
from proxy.web.edge_routes import EDGE_PATHS
from proxy.web.variant_routes import CACHE_STATUS

Json = dict[str, Any]

_TEMPLATE = Path(__file__).with_name("template.json")
_HTML: Json = {"text/html": {"schema": {"type": "string"}}}
_VARIANT = "/images/{uploadId}/{size}.{format}"
_PRIVATE_VARIANT = "/private/{uploadId}/{size}.{format}"
_TOKEN: Json = {
    "name": "token",
    "in": "query",
    "required": True,
    "schema": {"type": "string"},
    "description": "Signed by your application: `v1.{expires}.{signature}`.",
}
_ANY_HOST = ("healthz", "readyz", "verifyToken", "forgotten")
_ERRORS = vars(proxy.errors) | vars(ingest.ingest_errors) | vars(problems)
_TYPES: dict[str, Any] = {
    name: each
    for module in (schemas, problems, health)
    for name, each in vars(module).items()
    if is_typeddict(each) and each.__module__ == module.__name__
}


def describe(settings: Settings, *, variants: bool) -> Json:
    """Returns the document. `variants`: whether this server serves variants besides uploads."""
    values = _values(settings, variants=variants)

    def fill(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        value = resolve_name(name) if ":" in name else values[name]
        return json.dumps(value) if found[1] else str(value)

    document: Json = json.loads(re.sub(r'"{{([\w.:]+)}}"|{{([\w.:]+)}}', fill, _TEMPLATE.read_text()))
    groups, upload_id, paths = document.pop("headers"), document.pop("uploadId"), document["paths"]
    if variants:
        paths[_PRIVATE_VARIANT] = _private(paths[_VARIANT])
        for path, name in ((_VARIANT, "headVariant"), (_PRIVATE_VARIANT, "headPrivateVariant")):
            paths[path]["head"] = _head(paths[path]["get"], name)
    else:
        for path in (_VARIANT, *EDGE_PATHS):
            del paths[path]
    for item in paths.values():
        if "parameters" in item:  # Swagger UI shows no input for a `$ref` here
            item["parameters"] = [upload_id if each == "uploadId" else each for each in item["parameters"]]
    for method, operation in (each for item in paths.values() for each in item.items() if each[0] != "parameters"):
        _add_problems(method, operation)
        for response in operation["responses"].values():
            if names := response.get("headers"):
                response["headers"] = dict(ChainMap(*(groups.get(name, {}) for name in names)))
    return document


def _values(settings: Settings, *, variants: bool) -> Json:
    linked = ["showUpload", "showStatus", "followStatus", "deleteUpload", *(["getVariant"] if variants else [])]
    passed, sizes = {"uploadId": "$response.body#/uploadId"}, settings.sizes.values()
    formats = [format for format in Format if any(format in size.formats for size in sizes)]
    return {
        **dict(settings),
        **{name: {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}} for name in _TYPES},
        "version": version("darkroom-origin"),
        # The second is this server, for `/docs` at another address.
        "servers": [{"url": settings.public_url}, {"url": "./"}] if settings.public_url else [{"url": "/"}],
        "security": [{"bearer": []}] if settings.api_keys else [{}, {"bearer": []}],
        "upload_security": [*([] if settings.api_keys else [{}]), {"bearer": []}, {"ticket": []}],
        "max_upload_bytes": settings.max_upload_mb << 20,
        "schemas": _schemas(settings.sizes),
        "size_names": [Variant(size, Format.JPG, density).size_name for size in sizes for density in DENSITIES],
        "formats": [*formats, "auto", *(["jpeg"] if Format.JPG in formats else [])],
        "files": {format.media_type: {} for format in formats},
        "originals": {format.media_type: {} for format in SourceFormat},
        "source_types": ", ".join(format.media_type for format in settings.accept),
        "cache_statuses": sorted(set(CACHE_STATUS.values())),
        "html": _HTML,
        "links": {name: {"operationId": name, "parameters": passed} for name in linked},
    }


def _schemas(sizes: Sizes) -> Json:
    """Returns schemas by name. `urls` has all formats of every size, but may lack sizes that never enlarge."""
    _, found = TypeAdapter.json_schemas(
        [(name, "serialization", TypeAdapter(each)) for name, each in _TYPES.items()],
        ref_template="#/components/schemas/{model}",
    )
    schemas: Json = found["$defs"]
    for each in schemas.values():
        for field in each.get("properties", {}).values():
            field.pop("title", None)  # such as "Uploadid"
    accepted = schemas["Accepted"]["properties"]
    urls = {name: _closed({format: {"type": "string"} for format in size.formats}) for name, size in sizes.items()}
    accepted["urls"] |= _closed(urls)
    accepted["urls"]["required"] = [name for name, size in sizes.items() if not size.is_never_enlarged]
    del schemas["Accepted"]  # no response is just this
    for name in ("Created", "Upload"):
        schemas[name]["properties"] |= accepted  # pydantic omits the docstrings of inherited fields
    return schemas


def _closed(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _private(public: Json) -> Json:
    """Returns the description of private variants, which need a token and are cached by browsers only."""
    private: Json = deepcopy(public)
    get = private["get"]
    get |= {"operationId": "getPrivateVariant", "summary": "Get a variant of a private upload"}
    get["parameters"].insert(0, _TOKEN)
    get["problems"].append("InvalidToken")
    for response in get["responses"].values():
        response["headers"] = ["private" if each == "immutable" else each for each in response["headers"]]
    return private


def _head(get: Json, name: str) -> Json:
    """Returns the description of HEAD, which has no content and ignores ranges (RFC 9110, 14.2)."""
    head: Json = deepcopy(get) | {"operationId": name, "summary": f"{get['summary']}: headers alone"}
    head["parameters"] = [each for each in get["parameters"] if "Range" not in each["name"]]
    head["problems"].remove("UNSATISFIABLE")
    del head["responses"]["206"], head["responses"]["200"]["content"]
    return head


def _add_problems(method: str, operation: Json) -> None:
    """Adds a response for every status of the errors that the operation can raise."""
    is_variant, responses = operation["tags"] == ["Variants"], operation["responses"]
    common = ["METHOD_NOT_ALLOWED", "INTERNAL"]
    common += ["Unauthorized", "Forbidden"] if operation.get("security", True) else []
    common += [] if is_variant or operation["operationId"] in _ANY_HOST else ["Misdirected"]
    common += [] if method in ("get", "head") else ["CrossSite"]
    titles: dict[int, dict[str, str]] = defaultdict(dict)
    for error in (_ERRORS[name] for name in [*operation.pop("problems", []), *common]):
        status, code, title = error if isinstance(error, problems.ProblemType) else problems.ProblemType.of(error)
        titles[422 if is_variant and status == 400 else status][code] = title
    for status, codes in titles.items():
        restriction = {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}}
        schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, restriction]}
        caching = "minute" if is_variant and status in (404, 422) else "no-store"
        responses[str(status)] = {
            "description": "\n".join(f"- `{code}`: {title}" for code, title in codes.items()),
            "headers": [caching, "nosniff", str(status), *(["cross-origin"] if is_variant else [])],
            "content": {problems.MEDIA_TYPE: {"schema": schema}},
        }
    if operation["operationId"] == "upload":  # browsers get a page, except for 405 and 500, which precede the form
        for status in responses.keys() - {"405", "500"}:
            responses[status]["headers"].append("form")
            responses[status]["content"] |= _HTML
