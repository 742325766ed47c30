"""The values of an upload's fields and their limits. Parses JSON of clients strictly."""

import json
from math import isfinite
from typing import Any

from ingest.ingest_errors import InvalidField
from proxy.model import Focus, Visibility, parse_focus

MAX_NAME = 128
"""Characters of `owner` and `externalId`."""
MAX_METADATA = 4096
"""Bytes of `metadata` as JSON without spaces, in UTF-8."""
MAX_DEPTH = 16
"""Objects and arrays that `metadata` may nest."""


class InvalidJson(ValueError):
    """The text is not JSON, or JSON that readers understand differently. The message says why."""


def parse_json(text: str | bytes) -> object:
    """Parses JSON (RFC 8259) strictly: refuses repeated names, NaN and infinity. Raises InvalidJson."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetitions, parse_constant=_refuse_constant)
    except InvalidJson:
        raise
    except (ValueError, RecursionError):
        raise InvalidJson("is not JSON") from None


def _without_repetitions(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for name, value in pairs:
        if name in document:  # otherwise the last of the values would count
            raise InvalidJson(f"has two `{name[:64]}` fields")
        document[name] = value
    return document


def _refuse_constant(name: str) -> object:
    raise InvalidJson(f"has {name}, which is not JSON")


def read_focus(value: object) -> Focus:
    """Returns `value` as a focus. Raises InvalidField."""
    focus = parse_focus(value) if isinstance(value, str) else None
    if focus is None:
        raise InvalidField(
            "`focus` must be `x,y`: two numbers from 0 to 1, the shares of the upright image's width and height from "
            "its top left corner. For instance `0.3,0.7`."
        )
    return focus


def read_visibility(value: object) -> Visibility:
    """Returns `value` as a visibility. Raises InvalidField."""
    try:
        return Visibility(str(value))
    except ValueError:
        raise InvalidField(f"`visibility` must be {' or '.join(Visibility)}.") from None


def read_owner(value: object) -> str:
    """Returns `value` as an owner. Raises InvalidField."""
    return _read_name("owner", value)


def read_external_id(value: object) -> str:
    """Returns `value` as an external id. Raises InvalidField."""
    return _read_name("externalId", value)


def _read_name(field: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise InvalidField(
            f"`{field}` must be text of 1 to {MAX_NAME} printable characters, without line breaks or other control "
            "characters."
        )
    return value


def read_metadata(value: object) -> dict[str, Any]:
    """Returns `value`, a small JSON object that all databases and readers can represent. Raises InvalidField."""
    if not isinstance(value, dict):
        raise InvalidField('`metadata` must be a JSON object, such as `{"album": "summer"}`.')
    _check(value, MAX_DEPTH)
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_METADATA:
        raise InvalidField(f"`metadata` has {size} bytes as JSON, and may have at most {MAX_METADATA}.")
    return value


def _check(value: object, depth: int) -> None:
    """Checks a value of `metadata`. Raises InvalidField for what JSON or UTF-8 cannot represent."""
    if isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            raise InvalidField("`metadata` has text with U+0000 or half of a surrogate pair. Leave them out.")
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidField("`metadata` has a number beyond the range of 64-bit floating point.")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise InvalidField(f"`metadata` may nest at most {MAX_DEPTH} objects and arrays.")
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(each, depth - 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
