"""Tokens for private variants, against the vectors that openssl made for the clients, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import InvalidToken
from proxy.model import UploadId
from proxy.private_tokens import seconds_left

VECTORS = json.loads((Path(__file__).parents[3] / "clients" / "vectors" / "tokens.json").read_text())
NOW = VECTORS["now"]


def cases(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[kind], ids=lambda case: case["name"])


def left(case: dict[str, Any], now: float = NOW) -> float:
    return seconds_left(case["keys"].split(","), case["uploadId"], case["token"], now)


@cases("sign")
def test_token_is_valid_until_its_expiry(case: dict[str, Any]) -> None:
    assert left(case) == case["expires"] - NOW
    assert left(case, case["expires"] - 0.25) == 0.25
    with pytest.raises(InvalidToken, match="expired"):
        left(case, case["expires"])


@cases("verify")
def test_token_of_an_older_key_is_valid(case: dict[str, Any]) -> None:
    assert left(case) > 0


@cases("refuse")
def test_any_other_token_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        left(case)


def test_without_keys_no_token_is_valid() -> None:
    upload_id, token = UploadId(VECTORS["sign"][0]["uploadId"]), VECTORS["sign"][0]["token"]
    with pytest.raises(InvalidToken):
        seconds_left((), upload_id, token, NOW)
