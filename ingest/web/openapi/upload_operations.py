"""Uploads: sent, read back, followed, listed, deleted."""

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
from ingest.web.openapi.parts import UPLOAD, Json, answer, call, document, event, parameter, reference
from ingest.web.upload_routes import FIELD, MAX_PAGE, PAGE
from proxy import errors
from proxy.imaging.limits import SOURCE_FORMATS
from proxy.settings import Settings
from proxy.web.problems import NO_STORE

_REFUSALS = (
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
_TROUBLE = (
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
"""Of each event: before OpenAPI 3.2 there is no other place for it."""


def upload_paths(settings: Settings, *, variants: bool) -> Json:
    """`variants`: whether the same document has them, to link to."""
    return {
        "/images/upload": {"post": _upload(settings, variants=variants)},
        "/images": {"get": _newest()},
        "/images/{uploadId}": {"parameters": [UPLOAD], "get": _show(), "delete": _delete()},
        "/images/{uploadId}/status": {"parameters": [UPLOAD], "get": _status()},
        "/images/{uploadId}/events": {"parameters": [UPLOAD], "get": _events()},
    }


def _upload(settings: Settings, *, variants: bool) -> Json:
    names = ["showUpload", "showStatus", "followStatus", "deleteUpload", *(["getVariant"] if variants else [])]
    links = {name: {"operationId": name, "parameters": {"uploadId": "$response.body#/uploadId"}} for name in names}
    created = document("Taken. Its URLs work at once.", "Accepted", {"Location": {}}, links=links)
    created["headers"]["Idempotent-Replayed"] = {
        "schema": {"const": "true"},
        "description": "This is the answer to an earlier upload with the same key.",
    }
    key = parameter(
        HEADER,
        "header",
        {"type": "string", "pattern": KEY_PATTERN},
        "The same key within 24 hours brings the first answer again, so that repeating is safe.",
    )
    return _or_page(
        call(
            "upload",
            "Upload a picture",
            tag="Uploads",
            parameters=[key],
            requestBody=_picture(settings),
            answers={"201": created},
            problems=(*_REFUSALS, *_TROUBLE),
        )
    )


def _or_page(upload: Json) -> Json:
    """A browser that posts a form gets a page instead, but of what is answered before the upload is looked at."""
    for status, answered in upload["responses"].items():
        if status not in ("405", "500"):
            answered["content"]["text/html"] = {"schema": {"type": "string"}}
            answered["headers"]["Vary"] = {"required": True, "schema": {"const": "Accept"}}
    return upload


def _picture(settings: Settings) -> Json:
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


def _newest() -> Json:
    limit = {"type": "integer", "default": PAGE}
    bounds = f"Uploads on a page, 1 to {MAX_PAGE}; another number is brought within these bounds."
    return call(
        "listUploads",
        "The newest uploads, by pages",
        tag="Uploads",
        parameters=[
            parameter("limit", "query", limit, bounds),
            parameter("cursor", "query", {"type": "string"}, "As the page before gave it."),
        ],
        answers={"200": document("A page.", "UploadPage")},
        problems=(Malformed, CatalogUnavailable),
    )


def _show() -> Json:
    answers = {"200": document("All URLs, and a ready `<picture>` element.", "Upload")}
    return call("showUpload", "What is known of an upload", tag="Uploads", answers=answers, problems=_READING)


def _delete() -> Json:
    gone = answer("Original, variants and rows are gone.", headers={"Cache-Control": {"const": NO_STORE}})
    return call(
        "deleteUpload",
        "Delete an upload",
        tag="Uploads",
        answers={"204": gone},
        problems=(*_READING, errors.StoreUnavailable, CdnUnavailable),
    )


def _status() -> Json:
    answers = {"200": document("How far it is, and every standard variant.", "Status")}
    return call("showStatus", "The warm-up of an upload", tag="Uploads", answers=answers, problems=_READING)


def _events() -> Json:
    caching = {"Cache-Control": {"const": NO_STORE}}
    stream = answer("One for each change, until the warm-up ends.", {"text/event-stream": _EVENT}, caching)
    return call(
        "followStatus",
        "The same as Server-Sent Events",
        tag="Uploads",
        answers={"200": stream},
        problems=_READING,
    )
