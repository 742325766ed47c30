"""Schemas of the JSON that is answered, from its types."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from typing_extensions import override

from ingest.web.openapi.parts import Json
from ingest.web.schemas import Accepted, Status, Upload, UploadPage
from proxy.model import Format, Sizes
from proxy.web.health import Health, Readiness
from proxy.web.problems import Problem

_ANSWERED = (Accepted, Upload, UploadPage, Status, Problem, Health, Readiness)


class _Untitled(GenerateJsonSchema):
    """A field's name says it; "Uploadid" does not say it better."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def schemas(sizes: Sizes) -> Json:
    """By name, for the configured sizes."""
    types: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (kind.__name__, "serialization", TypeAdapter(kind)) for kind in _ANSWERED
    ]
    _, found = TypeAdapter.json_schemas(types, ref_template="#/components/schemas/{model}", schema_generator=_Untitled)
    schemas: Json = found["$defs"]
    inherited = schemas["Accepted"]["properties"]
    inherited["urls"] |= _urls(sizes)
    schemas["Upload"]["properties"] |= inherited  # pydantic leaves out what docstrings say of inherited ones
    return schemas


def _urls(sizes: Sizes) -> Json:
    """Every size in every format."""
    return _closed({name: _closed({format.value: {"type": "string"} for format in Format}) for name in sizes})


def _closed(properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
