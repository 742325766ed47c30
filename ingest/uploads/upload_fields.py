"""The fields of an upload besides the image: their names, and reading them from a form or from JSON."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.ingest_errors import InvalidField, Malformed, UnknownField
from ingest.uploads.field_values import (
    InvalidJson,
    parse_json,
    read_external_id,
    read_focus,
    read_metadata,
    read_owner,
    read_visibility,
)
from proxy.model import Focus, Visibility

MAX_VALUE = 16 * 1024
"""Bytes of a field's value as it is sent. The limits of the values themselves are in `field_values.py`."""
_READERS: Mapping[str, Callable[[object], Any]] = {
    "focus": read_focus,
    "owner": read_owner,
    "externalId": read_external_id,
    "metadata": read_metadata,
    "visibility": read_visibility,
}
FIELDS = tuple(_READERS)
"""The names of the fields."""
_ONLY_IN_TICKETS = ("owner", "visibility")
"""Fields that the holder of a ticket must not choose: receipts prove the owner, and the default may be private."""


@dataclass(slots=True)
class UploadFields:
    """Filled while the body of the upload is read, and complete at its end. `values`: those that are given, by name.

    `claims`: what the upload's ticket says, which wins over the form; None without a ticket.
    """

    values: dict[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] | None = None
    _given: set[str] = field(default_factory=set)

    @classmethod
    def of_ticket(cls, claims: Mapping[str, Any]) -> "UploadFields":
        """Returns fields that begin with the claims of a ticket."""
        return cls(dict(claims), claims)

    @property
    def focus(self) -> Focus | None:
        return self.values.get("focus")

    @property
    def visibility(self) -> Visibility | None:
        return self.values.get("visibility")

    @property
    def owner(self) -> str | None:
        return self.values.get("owner")

    @property
    def external_id(self) -> str | None:
        return self.values.get("externalId")

    @property
    def metadata(self) -> dict[str, Any] | None:
        return self.values.get("metadata")

    @staticmethod
    def has(name: str) -> bool:
        """Whether an upload may have a field of this name."""
        return name in _READERS

    def set(self, name: str, value: bytes) -> None:
        """Sets a field from a form's text, unless the ticket has it. Raises InvalidField or Malformed.

        An empty value counts as none, because forms send empty inputs.
        """
        if name in self._given:
            raise Malformed(f"The request has two `{name}` fields. Send one.")
        self._given.add(name)
        if not value or (self.claims is not None and name in self.claims):
            return
        if self.claims is not None and name in _ONLY_IN_TICKETS:
            raise InvalidField(f"`{name}` is not in the ticket, and only the ticket may name it. Do not send it.")
        self.values[name] = read_field(name, _decode(name, value))


def read_field(name: str, value: object) -> Any:
    """Returns the value of a field in `FIELDS`. Raises InvalidField."""
    return _READERS[name](value)


def refuse_private(values: Mapping[str, Any]) -> None:
    """Raises InvalidField if the values make an upload private, on a server that opens no private variants."""
    if values.get("visibility") is Visibility.PRIVATE:
        raise InvalidField("This server shows no private images: SIGNING_KEYS is not set. Set it, or send `public`.")


def parse_changes(body: bytes) -> dict[str, Any]:
    """Returns the values of a JSON object by field, such as `{"focus": "x,y", "owner": null}`; None removes a value.

    Raises Malformed, UnknownField or InvalidField.
    """
    document = parse_object(body, 'Send a JSON object with the fields to change, such as `{"focus": "0.3,0.7"}`.')
    if unknown := document.keys() - _READERS.keys():
        raise unknown_field(min(unknown), FIELDS)
    # Every upload has a visibility.
    removed = {name for name, value in document.items() if value is None and name != "visibility"}
    return {name: None if name in removed else read_field(name, value) for name, value in document.items()}


def parse_object(body: bytes, advice: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """Returns the JSON object in the body of a request. Raises Malformed, whose last sentence is `advice`.

    `may_be_empty`: whether an object without names is valid.
    """
    try:
        document = parse_json(body)
    except InvalidJson as error:
        raise Malformed(f"The body {error}. {advice}") from None
    if not isinstance(document, dict) or not (document or may_be_empty):
        raise Malformed(advice)
    return document


def unknown_field(name: str, known: Iterable[str]) -> UnknownField:
    """Returns the error for a field that a call does not support. `known`: the fields that it supports."""
    fields = ", ".join(f"`{each}`" for each in known)
    return UnknownField(f"There is no field `{name[:64]}`. The fields are {fields}.")


def _decode(name: str, value: bytes) -> object:
    """Decodes a form's text, and `metadata` as JSON. Invalid UTF-8 becomes surrogates, which no field accepts."""
    text = value.decode(errors="surrogateescape")
    if name != "metadata":
        return text
    try:
        return parse_json(text)
    except InvalidJson as error:
        raise InvalidField(f'`metadata` {error}. Send a JSON object, such as `{{"album": "summer"}}`.') from None
