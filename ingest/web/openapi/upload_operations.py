"""Operations on uploads: create, show, follow, list, delete."""

from ingest.errors import (
    Aborted,
    CatalogUnavailable,
    CdnUnavailable,
    CrossSite,
    InProgress,
    KeyReused,
    Malformed,
    MissingImage,
    TooLarge,
    UploadTimeout,
)
from ingest.idempotency_key import HEADER, KEY_PATTERN
from ingest.web.openapi.parts import UPLOAD, Json, event, json_response, operation, parameter, reference, response
from ingest.web.upload_routes import FIELD, MAX_PAGE, PAGE
from proxy import errors
from proxy.imaging.limits import SOURCE_FORMATS
from proxy.settings import Settings
from proxy.web.problems import NO_STORE

_REJECTED = (
    MissingImage,
    Malformed,
    Aborted,
    errors.UnsupportedFormat,
    UploadTimeout,
    TooLarge,
    errors.TooSmall,
    errors.TooManyPixels,
    errors.TooHeavy,
    errors.Undecodable,
    CrossSite,
    InProgress,
    KeyReused,
)
_UNAVAILABLE = (
    errors.Unavailable,
    errors.StoreUnavailable,
    CatalogUnavailable,
    errors.Overloaded,
    errors.RenderFailed,
    errors.DerivationTimeout,
)
_READING = (errors.UnknownUpload, CatalogUnavailable)
_STATUS_EVENT = {"contentMediaType": "application/json", "contentSchema": reference("Status")}
_EVENT = {"oneOf": [event("status", _STATUS_EVENT), event("deleted", {"const": "{}"})]}
"""The schema of one event: OpenAPI 3.1 cannot describe a stream."""


def upload_paths(settings: Settings, *, variants: bool) -> Json:
    """Paths of uploads. `variants`: whether the document has variants to link to."""
    return {
        "/images/upload": {"post": _upload(settings, variants=variants)},
        "/images": {"get": _list()},
        "/images/{uploadId}": {"parameters": [UPLOAD], "get": _show(), "delete": _delete()},
        "/images/{uploadId}/status": {"parameters": [UPLOAD], "get": _status()},
        "/images/{uploadId}/events": {"parameters": [UPLOAD], "get": _events()},
    }


def _upload(settings: Settings, *, variants: bool) -> Json:
    names = ["showUpload", "showStatus", "followStatus", "deleteUpload", *(["getVariant"] if variants else [])]
    links = {name: {"operationId": name, "parameters": {"uploadId": "$response.body#/uploadId"}} for name in names}
    created = json_response("Accepted. The URLs work at once.", "Accepted", {"Location": {}}, links=links)
    created["headers"]["Idempotent-Replayed"] = {
        "schema": {"const": "true"},
        "description": "The response of an earlier upload with the same key.",
    }
    key = parameter(
        HEADER,
        "header",
        {"type": "string", "pattern": KEY_PATTERN},
        "Makes retries safe: within 24 hours, the same key gets the first response again.",
    )
    return _with_html(
        operation(
            "upload",
            "Upload an image",
            tag="Uploads",
            parameters=[key],
            requestBody=_image(settings),
            responses={"201": created},
            problems=(*_REJECTED, *_UNAVAILABLE),
        )
    )


def _with_html(upload: Json) -> Json:
    """Adds the page that a browser gets when it posts a form. 405 and 500 are sent before the form is recognised."""
    for status, described in upload["responses"].items():
        if status not in ("405", "500"):
            described["content"]["text/html"] = {"schema": {"type": "string"}}
            described["headers"]["Vary"] = {"required": True, "schema": {"const": "Accept"}}
    return upload


def _image(settings: Settings) -> Json:
    types = [f"image/{name.lower()}" for name in SOURCE_FORMATS]
    schema = {
        "type": "string",
        "format": "binary",
        "description": f"At most {settings.max_upload_mb} MiB, "
        f"{settings.min_side} to {settings.max_side} pixels a side, once upright.",
    }
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {FIELD: schema}, "required": [FIELD]},
                "encoding": {FIELD: {"contentType": ", ".join(types)}},
            }
        },
    }


def _list() -> Json:
    limit = {"type": "integer", "default": PAGE}
    bounds = f"Uploads on a page, 1 to {MAX_PAGE}; other numbers are clamped."
    return operation(
        "listUploads",
        "List uploads, newest first",
        tag="Uploads",
        parameters=[
            parameter("limit", "query", limit, bounds),
            parameter("cursor", "query", {"type": "string"}, "From the previous page."),
        ],
        responses={"200": json_response("A page.", "UploadPage")},
        problems=(Malformed, CatalogUnavailable),
    )


def _show() -> Json:
    responses = {"200": json_response("The upload with all URLs and a complete `<picture>` element.", "Upload")}
    return operation("showUpload", "Show an upload", tag="Uploads", responses=responses, problems=_READING)


def _delete() -> Json:
    deleted = response(
        "Original, variants and database rows are deleted.", headers={"Cache-Control": {"const": NO_STORE}}
    )
    return operation(
        "deleteUpload",
        "Delete an upload",
        tag="Uploads",
        responses={"204": deleted},
        problems=(*_READING, errors.StoreUnavailable, CdnUnavailable),
    )


def _status() -> Json:
    responses = {"200": json_response("The progress, and every standard variant.", "Status")}
    return operation(
        "showStatus", "Show the warm-up of an upload", tag="Uploads", responses=responses, problems=_READING
    )


def _events() -> Json:
    caching = {"Cache-Control": {"const": NO_STORE}}
    stream = response("One event for each change, until the warm-up ends.", {"text/event-stream": _EVENT}, caching)
    return operation(
        "followStatus",
        "Follow the warm-up by Server-Sent Events",
        tag="Uploads",
        responses={"200": stream},
        problems=_READING,
    )
