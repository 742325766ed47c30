"""JSON schemas of the responses, from their types."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from typing_extensions import override

from ingest.web.openapi.parts import Json
from ingest.web.schemas import Accepted, Status, Upload, UploadPage
from proxy.model import Format, Sizes
from proxy.web.health import Health, Readiness
from proxy.web.problems import Problem

_RESPONSES = (Accepted, Upload, UploadPage, Status, Problem, Health, Readiness)


class _Untitled(GenerateJsonSchema):
    """Omits titles: "Uploadid" adds nothing to the field's name."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def schemas(sizes: Sizes) -> Json:
    """Schemas by name, for the configured sizes."""
    types: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (response.__name__, "serialization", TypeAdapter(response)) for response in _RESPONSES
    ]
    _, found = TypeAdapter.json_schemas(types, ref_template="#/components/schemas/{model}", schema_generator=_Untitled)
    schemas: Json = found["$defs"]
    inherited = schemas["Accepted"]["properties"]
    inherited["urls"] |= _urls(sizes)
    schemas["Upload"]["properties"] |= inherited  # pydantic omits the docstrings of inherited fields
    return schemas


def _urls(sizes: Sizes) -> Json:
    """A URL for every size in every format."""
    return _closed({name: _closed({format.value: {"type": "string"} for format in Format}) for name in sizes})


def _closed(properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
