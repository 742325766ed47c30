"""The OpenAPI document: every call and answer, for the settings in force.

Nothing is written down twice: schemas come from the types of what is answered (`ingest/web/schemas.py`), problems from
the table of `proxy/web/problems.py`, names and limits from the settings. The tests hold it against the routes and a
live service.
"""

from importlib.metadata import version

from ingest.web.openapi.json_schemas import schemas
from ingest.web.openapi.parts import Json
from ingest.web.openapi.service_operations import service_paths
from ingest.web.openapi.upload_operations import upload_paths
from ingest.web.openapi.variant_operations import variant_paths
from proxy.settings import Settings

_ABOUT = (
    "An image origin: upload a picture once; every size and format of it is derived when it is first asked for. "
    "`HEAD` works wherever `GET` does. Refusals are `application/problem+json` with a stable `code`."
)


def describe(settings: Settings, *, variants: bool) -> Json:
    """`variants`: whether this server has them, or uploads alone."""
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
                    "description": "One of `API_KEYS`. Needed once there are any.",
                }
            },
        },
    }
