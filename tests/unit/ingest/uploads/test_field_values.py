"""Owner, external id and metadata: what is accepted, and what is not."""

import json
from typing import Any

import pytest

from ingest.ingest_errors import InvalidField
from ingest.uploads.field_values import InvalidJson, parse_json, read_external_id, read_metadata, read_owner

NAMES = {"owner": read_owner, "externalId": read_external_id}


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth > 1 else {"a": 1}


@pytest.mark.parametrize("field", NAMES)
@pytest.mark.parametrize("value", ["7", " a ", "Zoë", "🙂" * 128, "user:7/é,%2F\"'<&>"])
def test_name_of_1_to_128_printable_characters_is_kept_unchanged(field: str, value: str) -> None:
    assert NAMES[field](value) == value


@pytest.mark.parametrize("field", NAMES)
@pytest.mark.parametrize(
    "value", ["", "a" * 129, "a\nb", "\0", "\x7f", "\u2028", "\u202e", "\ud800", 7, None, ["a"], True]
)
def test_other_name_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidField, match=f"`{field}` must be text of 1 to 128 printable characters"):
        NAMES[field](value)


@pytest.mark.parametrize("value", [{}, {"a": None}, {"é": ["\n", 1.5, True, {"b": []}]}, nested(16), {"n": 10**300}])
def test_metadata_is_kept_unchanged(value: dict[str, Any]) -> None:
    assert read_metadata(value) == value


def test_metadata_may_have_4096_bytes_without_spaces_in_utf_8() -> None:
    fits = {"é": "é" * ((4096 - len('{"é":""}'.encode())) // 2)}
    assert len(json.dumps(fits, ensure_ascii=False, separators=(",", ":")).encode()) in (4095, 4096)
    assert read_metadata(fits) == fits

    with pytest.raises(InvalidField, match=r"`metadata` has 409[78] bytes as JSON, and may have at most 4096"):
        read_metadata({"é": fits["é"] + "é"})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "must be a JSON object"),
        ("{}", "must be a JSON object"),
        (None, "must be a JSON object"),
        (nested(17), "nest at most 16"),
        ({"a": float("inf")}, "beyond the range"),
        ({"a": [float("nan")]}, "beyond the range"),
        ({"a": "\0"}, r"U\+0000"),
        ({"a\0": 1}, r"U\+0000"),
        ({"a": ["\ud800"]}, "surrogate"),
    ],
)
def test_metadata_that_not_every_reader_could_represent_is_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidField, match=reason):
        read_metadata(value)


def test_json_is_parsed() -> None:
    assert parse_json(b' {"a": [1, 2.5, null, "\\u00e9"]} ') == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is not JSON"),
        (b"{'a': 1}", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        (b'{"a": 1, "\\u0061": 1}', "has two `a` fields"),
        (b"[NaN]", "has NaN"),
        (b"-Infinity", "has -Infinity"),
    ],
)
def test_ambiguous_or_broken_json_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(InvalidJson, match=reason):
        parse_json(text)
