"""The fields of an upload besides the image: their names, limits and values."""

import json
from dataclasses import dataclass, field

from ingest.ingest_errors import InvalidField, Malformed, UnknownField
from proxy.model import Focus, parse_focus

MAX_VALUE = 1024
"""Bytes of a field's value."""
_NAMES = ("focus",)


@dataclass(slots=True)
class UploadFields:
    """Filled while the body of the upload is read, and complete at its end."""

    focus: Focus | None = None
    _given: set[str] = field(default_factory=set)

    @staticmethod
    def has(name: str) -> bool:
        return name in _NAMES

    def set(self, name: str, value: bytes) -> None:
        """Raises InvalidField or Malformed. An empty value, as a form sends an empty input, is the same as none."""
        if name in self._given:
            raise _repeated(name)
        self._given.add(name)
        if value:
            self.focus = read_focus(value.decode(errors="replace"))


def parse_changes(body: bytes) -> Focus | None:
    """Returns the focus of the JSON `{"focus": "x,y"}`; None if it is null.

    Raises Malformed, UnknownField or InvalidField.
    """
    try:
        document = json.loads(body, object_pairs_hook=_without_repetitions)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not document:
        raise Malformed('Send a JSON object with the fields to change, such as `{"focus": "0.3,0.7"}`.')
    for name in document:
        if name not in _NAMES:
            raise unknown_field(name)
    return None if document["focus"] is None else read_focus(document["focus"])


def _without_repetitions(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises Malformed. Without it, the last of the values would count."""
    document: dict[str, object] = {}
    for name, value in pairs:
        if name in document:
            raise _repeated(name)
        document[name] = value
    return document


def _repeated(name: str) -> Malformed:
    return Malformed(f"The request has two `{name[:64]}` fields. Send one.")


def unknown_field(name: str, *others: str) -> UnknownField:
    """`others`: fields that the call has besides those of every upload."""
    known = ", ".join(f"`{each}`" for each in (*others, *_NAMES))
    return UnknownField(f"There is no field `{name[:64]}`. The fields are {known}.")


def read_focus(value: object) -> Focus:
    """Raises InvalidField."""
    focus = parse_focus(value) if isinstance(value, str) else None
    if focus is None:
        raise InvalidField(
            "`focus` must be `x,y`: two numbers from 0 to 1, the shares of the upright image's width and height from "
            "its top left corner. For instance `0.3,0.7`."
        )
    return focus
