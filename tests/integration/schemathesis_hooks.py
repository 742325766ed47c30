"""Hooks that Schemathesis loads (`SCHEMATHESIS_HOOKS`): images, ranges and conditions, which random
values never are.
"""

from itertools import cycle
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis import Case, HookContext

from tests.unit.ingest.examples import image_bytes

for _format in ("jpeg", "png", "webp"):
    _tries = [
        image_bytes(format=_format),
        image_bytes(50, 50, _format),
        image_bytes(format=_format)[:200],
        b"GIF89a",
        b"",
    ]
    schemathesis.openapi.media_type(f"image/{_format}", strategies.sampled_from(_tries))

schemathesis.openapi.format("x-printable", strategies.text(strategies.characters(codec="ascii", categories=["L", "N"])))
schemathesis.openapi.format("x-json-object", strategies.sampled_from(['{"album": "summer"}', "{}", ""]))
_FORMATS = {"owner": "x-printable", "externalId": "x-printable", "metadata": "x-json-object"}
"""Texts whose form the description says only in words."""

# An odd number: calls that take turns get each of them.
_conditions = cycle([{}, {"Range": "bytes=0-9"}, {}, {"Range": "bytes=999999-"}, {"If-None-Match": "*"}])


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    body = raw_schema["paths"]["/images/upload"]["post"]["requestBody"]
    fields = body["content"]["multipart/form-data"]["schema"]["properties"]
    for name, format in _FORMATS.items():
        fields[name]["format"] = format


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, object]) -> None:
    """Adds the next range or condition to requests for variants. Makes no other call look like one."""
    if "deletionId" in case.path_parameters:  # with a dot, it is the path of a variant
        case.path_parameters["deletionId"] = str(case.path_parameters["deletionId"]).replace(".", "-")
    if case.path.endswith(".{format}"):
        for name, value in next(_conditions).items():
            case.headers.setdefault(name, value)
