"""Upload tickets and receipts, against the shared vectors."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from darkroom import VerificationError, sign_ticket, verify_receipt
from darkroom.direct_uploads import TICKET
from darkroom.json_web_tokens import sign_jwt, verify_jwt

FOLDER = Path(__file__).parents[2] / "vectors"
TICKETS, RECEIPTS = (
    json.loads((FOLDER / name).read_text(encoding="utf-8")) for name in ("tickets.json", "receipts.json")
)
NOW: int = TICKETS["now"]
KEY = "0123456789abcdef0123456789abcdef"
ARGUMENTS = {"externalId": "external_id", "maxBytes": "max_bytes", "jti": "ticket_id"}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def name(case: Any) -> str:
    return case["name"]


def claims_of(ticket: str) -> Any:
    part = ticket.split(".")[1]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("case", TICKETS["verify"], ids=name)
def test_ticket_is_that_of_the_vector(case: Any) -> None:
    claims = {ARGUMENTS.get(claim, claim): value for claim, value in case["claims"].items()}

    ticket = sign_ticket(case["keys"], lifetime=claims.pop("exp") - NOW, **claims)

    assert claims_of(ticket) == case["claims"]
    if case["name"] not in ("the second key still verifies", "claims as UTF-8"):  # not what a signer writes
        assert ticket == case["jwt"]


def test_ticket_by_default_is_new_and_valid_for_ten_minutes() -> None:
    one, other = (claims_of(sign_ticket(KEY)) for _ in range(2))

    assert {*one} == {"exp", "jti"}
    assert one["exp"] == NOW + 600
    assert one["jti"] != other["jti"]


def sign(claims: dict[str, Any]) -> Any:
    """Sign a ticket with these claims, and return what it says."""
    arguments = {ARGUMENTS.get(claim, claim): value for claim, value in claims.items()}
    if "exp" in arguments:
        arguments["lifetime"] = arguments.pop("exp") - NOW
    return claims_of(sign_ticket(KEY, **arguments))


@pytest.mark.parametrize("case", TICKETS["sign"], ids=name)
def test_ticket_with_a_value_at_its_limit_is_signed(case: Any) -> None:
    assert case["claims"].items() <= sign(case["claims"]).items()


@pytest.mark.parametrize("case", TICKETS["refuseToSign"], ids=name)
def test_ticket_with_a_value_that_the_server_refuses_raises(case: Any) -> None:
    [claim] = case["claims"]
    argument = {"exp": "lifetime"}.get(claim, ARGUMENTS.get(claim, claim))
    with pytest.raises(ValueError, match=argument):
        sign(case["claims"])


@pytest.mark.parametrize(
    "metadata",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": b""}, {"a": "\ud800"}, {"\ud800": 1}, {"a": {1}}, {(1,): 1}],
)
def test_ticket_with_metadata_that_is_no_json_raises(metadata: Any) -> None:
    with pytest.raises(ValueError, match="metadata"):
        sign_ticket(KEY, metadata=metadata)


def test_ticket_with_a_lifetime_of_no_whole_seconds_raises() -> None:
    with pytest.raises(ValueError, match="lifetime"):
        sign_ticket(KEY, lifetime=1.5)


@pytest.mark.parametrize("case", RECEIPTS["verify"], ids=name)
def test_receipt_of_the_vector_is_verified(case: Any) -> None:
    claims = case["claims"]

    receipt = verify_receipt(case["jwt"], case["keys"], owner=claims["owner"])

    assert receipt._asdict() == {
        "upload_id": claims["uploadId"],
        "owner": claims["owner"],
        "sha256": claims["sha256"],
    }


@pytest.mark.parametrize("case", RECEIPTS["refuse"], ids=name)
def test_receipt_of_the_vector_is_refused(case: Any) -> None:
    with pytest.raises(VerificationError):
        verify_receipt(case["jwt"], case["keys"], owner=case["owner"])


@pytest.mark.parametrize("receipt", [None, 1, [], b"a.b.c", {}])
def test_receipt_that_is_no_text_is_refused(receipt: object) -> None:
    with pytest.raises(VerificationError):
        verify_receipt(receipt, KEY, owner=None)


def test_receipt_without_a_digest_is_refused() -> None:
    receipt = sign_jwt({"uploadId": "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"}, KEY, "darkroom-receipt+jwt")

    with pytest.raises(VerificationError, match="SHA-256"):
        verify_receipt(receipt, KEY, owner=None)


def test_receipt_with_a_short_key_raises_no_verification_error() -> None:
    with pytest.raises(ValueError, match="32 characters") as raised:
        verify_receipt("a.b.c", "short", owner=None)
    assert not isinstance(raised.value, VerificationError)


def test_jwt_with_deep_nesting_is_refused() -> None:
    part = "W1tb" * 200_000  # [[[
    with pytest.raises(VerificationError):
        verify_jwt(f"{part}.{part}.{'a' * 43}", KEY, TICKET)
