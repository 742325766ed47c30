"""Parsing and storing idempotency keys."""

from datetime import timedelta

import pytest

from ingest.idempotency_key import digest as image_digest
from ingest.idempotency_key import fingerprint, parse_idempotency_key
from ingest.ingest_errors import Malformed
from tests.unit.ingest.bodies import chunks_of

MINUTE = timedelta(minutes=1)


def digest(key: str, caller: bytes = b"") -> str:
    parsed = parse_idempotency_key([key], caller, MINUTE)
    assert parsed
    assert parsed.attempt_timeout == MINUTE
    return parsed.digest


@pytest.mark.parametrize("key", ["k", "8e03978e-40d5-43e1-bc93-6894a57f9324", '"quoted"', "!" * 255, "~"])
def test_key_is_stored_as_digest_of_key_and_caller(key: str) -> None:
    assert digest(key) == digest(key)
    assert len({digest(key), digest(key, b"caller"), digest(key, b"other"), digest(key[:-1] + "x")}) == 4
    assert len(digest(key)) == 64
    assert key not in digest(key) or len(key) == 1


def test_digest_separates_key_and_caller() -> None:
    assert digest("bc", b"a") != digest("c", b"ab")


def test_no_header_returns_none() -> None:
    assert parse_idempotency_key([], b"caller", MINUTE) is None


@pytest.mark.parametrize("values", [[""], ["a b"], ["a" * 256], ["ü"], ["a\x7f"], ["a\n"], ["a", "a"], ["a, b"]])
def test_invalid_key_is_malformed(values: list[str]) -> None:
    with pytest.raises(Malformed, match="visible ASCII"):
        parse_idempotency_key(values, b"", MINUTE)


@pytest.mark.parametrize("split", [1, 3, None])
async def test_digest_does_not_depend_on_chunking(split: int | None) -> None:
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, its example for "abc"

    assert await image_digest(chunks_of(b"abc", split)) == known


def test_fingerprint_without_fields_is_the_digest_of_the_image_and_differs_with_fields() -> None:
    fields = ({}, {"focus": "0,1"}, {"focus": "1,1"}, {"owner": "0,1"}, {"metadata": {"a": 1, "b": 2}})
    assert fingerprint("ab", {}) == "ab"
    assert len({fingerprint("ab", each) for each in fields}) == len(fields)
    assert fingerprint("ab", {"metadata": {"a": 1, "b": 2}}) == fingerprint("ab", {"metadata": {"b": 2, "a": 1}})
