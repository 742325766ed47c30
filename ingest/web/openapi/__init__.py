"""The OpenAPI document: every call and response, for the settings in force.

Schemas come from the response types in `ingest/web/schemas.py`, problems from the table in `proxy/web/problems.py`,
names and limits from the settings. Tests compare the document with the routes and with a live service.
"""

from importlib.metadata import version

from ingest.web.openapi.json_schemas import schemas
from ingest.web.openapi.parts import Json
from ingest.web.openapi.service_operations import service_paths
from ingest.web.openapi.upload_operations import upload_paths
from ingest.web.openapi.variant_operations import variant_paths
from proxy.settings import Settings

_ABOUT = (
    "An image origin: upload an image once; each size and format of it is derived on its first request. "
    "`HEAD` works wherever `GET` does. Errors are `application/problem+json` with a stable `code`."
)


def describe(settings: Settings, *, variants: bool) -> Json:
    """The document as JSON. `variants`: whether this server serves variants besides uploads."""
    key: Json = {"bearer": []}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Darkroom", "version": version("darkroom-origin"), "description": _ABOUT},
        "security": [key] if settings.api_keys else [{}, key],
        "paths": {
            **upload_paths(settings, variants=variants),
            **(variant_paths(settings.sizes) if variants else {}),
            **service_paths(),
        },
        "components": {
            "schemas": schemas(settings.sizes),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of `API_KEYS`. Required if the server has any.",
                }
            },
        },
    }
