"""Webhooks against the shared vectors, which the reference library of Standard Webhooks made."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom import VerificationError, verify_webhook

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "webhooks.json").read_text(encoding="utf-8"))
NOW: int = VECTORS["now"]
GOOD = VECTORS["verify"][0]


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def verify(case: Any, **changes: Any) -> Any:
    case = {**case, **changes}
    return verify_webhook(case["body"].encode(), case["headers"], case["secret"])


@pytest.mark.parametrize("case", VECTORS["verify"], ids=lambda case: case["name"])
def test_webhook_of_the_vector_is_verified(case: Any) -> None:
    assert verify(case) == json.loads(case["body"])


@pytest.mark.parametrize("case", VECTORS["refuse"], ids=lambda case: case["name"])
def test_webhook_of_the_vector_is_refused(case: Any) -> None:
    with pytest.raises(VerificationError):
        verify(case)


def test_webhook_older_than_the_given_tolerance_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW + 11)

    assert verify_webhook(GOOD["body"].encode(), GOOD["headers"], GOOD["secret"], tolerance=11)
    with pytest.raises(VerificationError, match="10 seconds"):
        verify_webhook(GOOD["body"].encode(), GOOD["headers"], GOOD["secret"], tolerance=10)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-signature"])
def test_webhook_with_bytes_that_are_no_utf_8_is_refused(header: str) -> None:
    with pytest.raises(VerificationError):
        verify(GOOD, headers={**GOOD["headers"], header: "v1,\udcff"})


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "plain text", f"{GOOD['secret']},"])
def test_secret_of_another_form_raises_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as raised:
        verify(GOOD, secret=secret)
    assert not isinstance(raised.value, VerificationError)
    assert secret == "" or secret not in str(raised.value)
