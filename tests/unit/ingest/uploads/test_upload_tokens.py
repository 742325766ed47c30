"""Upload tickets and receipts: which tokens are accepted, and what they say."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from ingest.idempotency_key import parse_idempotency_key
from ingest.ingest_errors import InvalidTicket, TicketExpired
from ingest.uploads import upload_tokens
from ingest.uploads.upload_tokens import MAX_LIFETIME, RECEIPT, TICKET, UploadTokens, is_token
from tests.unit.ingest.examples import accepted

VECTORS = json.loads((Path(__file__).parents[4] / "clients" / "vectors" / "tickets.json").read_text(encoding="utf-8"))
NOW: int = VECTORS["now"]
OLD, NEW = "old-secret-0123456789abcdef012345678", "new-secret-0123456789abcdef012345678"
UNREADABLE = (
    "^The ticket cannot be read. A ticket is a JSON Web Token: a header with the `alg` HS256 and without `crit`, "
)
LEAST = {"exp": NOW + 600, "jti": "one"}


class FrozenDatetime(jwt.api_jwt.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.fromtimestamp(NOW, tz)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 0.5)
    monkeypatch.setattr(jwt.api_jwt, "datetime", FrozenDatetime)


@pytest.fixture
def tokens() -> UploadTokens:
    return UploadTokens([NEW, OLD])


def signed(claims: Any, key: str = NEW, **header: Any) -> str:
    """As other libraries sign, without their checks of the claims."""
    return signed_parts(json.dumps({"alg": "HS256", "typ": "JWT"} | header).encode(), json.dumps(claims).encode(), key)


def signed_parts(header: bytes, claims: bytes, key: str = NEW) -> str:
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims))
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text, key.encode())
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def test_own_ticket_is_verified_with_all_its_claims(tokens: UploadTokens) -> None:
    fields = {"owner": "Zoë", "externalId": "7", "metadata": {"a": [1]}, "focus": "0.3,0.7"}

    token, expires = tokens.sign_ticket({**fields, "maxBytes": 5000}, 600)

    ticket = tokens.verify_ticket(token)
    assert (ticket.fields, ticket.max_bytes, expires) == (fields, 5000, NOW + 600)
    assert is_token(token.encode())
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": TICKET}
    assert tokens.verify_ticket(tokens.sign_ticket({}, 600)[0]).jti != ticket.jti


@pytest.mark.parametrize("key", [NEW, OLD])
@pytest.mark.parametrize("kind", [TICKET, "JWT"])
def test_ticket_of_another_library_is_verified_with_any_of_the_keys(tokens: UploadTokens, key: str, kind: str) -> None:
    claims = LEAST | {"focus": "0.30,1.0", "iat": NOW + 5, "nbf": NOW - 5, "iss": "shop", "sub": "user-7"}

    ticket = tokens.verify_ticket(signed(claims, key, typ=kind))

    assert (ticket.jti, ticket.fields, ticket.max_bytes) == ("one", {"focus": "0.3,1"}, None)


@pytest.mark.parametrize("case", VECTORS["sign"], ids=lambda case: case["name"])
def test_ticket_that_clients_sign_is_verified(tokens: UploadTokens, case: dict[str, Any]) -> None:
    tokens.verify_ticket(signed(LEAST | case["claims"]))


@pytest.mark.parametrize("case", VECTORS["refuseToSign"], ids=lambda case: case["name"])
def test_ticket_that_clients_refuse_to_sign_is_invalid(tokens: UploadTokens, case: dict[str, Any]) -> None:
    with pytest.raises(InvalidTicket):
        tokens.verify_ticket(signed(LEAST | case["claims"]))


def test_first_key_signs() -> None:
    token, _ = UploadTokens([NEW, OLD]).sign_ticket({}, 1)

    UploadTokens([NEW]).verify_ticket(token)
    with pytest.raises(InvalidTicket, match="not signed with one of this server's UPLOAD_KEYS"):
        UploadTokens([OLD]).verify_ticket(token)


@pytest.mark.parametrize("exp", [NOW, NOW - 1, 0, -1])
def test_expired_ticket_is_distinguished_from_an_invalid_one(tokens: UploadTokens, exp: int) -> None:
    with pytest.raises(TicketExpired, match="has expired"):
        tokens.verify_ticket(signed(LEAST | {"exp": exp}))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"jti": "one"}, "lacks the claim `exp`"),
        ({"exp": NOW + 600}, "lacks the claim `jti`"),
        (LEAST | {"jti": None}, "lacks the claim `jti`"),
        (LEAST | {"jti": ""}, "`jti` must be"),
        (LEAST | {"jti": "a b"}, "`jti` must be"),
        (LEAST | {"jti": "a" * 256}, "`jti` must be"),
        (LEAST | {"jti": 7}, "`jti` must be"),
        (LEAST | {"exp": NOW + MAX_LIFETIME + 1}, "at most 86400 seconds ahead"),
        (LEAST | {"exp": f"{NOW + 600}"}, "`exp` must be a number"),
        (LEAST | {"exp": True}, "expired|`exp` must"),
        (LEAST | {"exp": float("inf")}, UNREADABLE),
        (LEAST | {"exp": float("nan")}, UNREADABLE),
        (LEAST | {"exp": [NOW]}, UNREADABLE),
        (LEAST | {"nbf": NOW + 60}, "not valid yet: its `nbf` is ahead"),
        (LEAST | {"nbf": "soon"}, UNREADABLE),
        (LEAST | {"aud": "shop"}, "`aud`, which a ticket does not have"),
        (LEAST | {"aud": []}, "`aud`, which a ticket does not have"),
        (LEAST | {"owner": ""}, "`owner` must be text"),
        (LEAST | {"owner": None}, "`owner` must be text"),
        (LEAST | {"externalId": 7}, "`externalId` must be text"),
        (LEAST | {"metadata": "{}"}, "`metadata` must be a JSON object"),
        (LEAST | {"metadata": {"a": float("nan")}}, "beyond the range"),
        (LEAST | {"focus": "2,2"}, "`focus` must be"),
        (LEAST | {"maxBytes": 0}, "`maxBytes` must be"),
        (LEAST | {"maxBytes": True}, "`maxBytes` must be"),
        (LEAST | {"maxBytes": 1.5}, "`maxBytes` must be"),
        (LEAST | {"external_id": "7"}, "`external_id`, which a ticket does not have"),
        ([], UNREADABLE),
        ("one", UNREADABLE),
    ],
)
def test_ticket_with_wrong_claims_is_refused_with_the_reason(tokens: UploadTokens, claims: Any, reason: str) -> None:
    with pytest.raises(InvalidTicket, match=reason):
        tokens.verify_ticket(signed(claims))


def test_ticket_may_be_valid_for_a_day(tokens: UploadTokens) -> None:
    assert tokens.verify_ticket(signed(LEAST | {"exp": NOW + MAX_LIFETIME})).jti == "one"


@pytest.mark.parametrize("value", ["text", 7, None, ["a"], {"a": 1}])
def test_issuer_subject_and_issue_time_say_nothing(tokens: UploadTokens, value: object) -> None:
    assert tokens.verify_ticket(signed(LEAST | {"iss": value, "sub": value, "iat": value})).fields == {}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "must be signed with HS256"),
        ({"alg": "HS512"}, "must be signed with HS256"),
        ({"alg": "hs256"}, "must be signed with HS256"),
        ({"alg": None}, "must be signed with HS256"),
        ({"crit": ["x"]}, UNREADABLE),
        ({"kid": 7}, UNREADABLE),
    ],
)
def test_other_algorithm_or_critical_extension_is_refused(
    tokens: UploadTokens, header: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidTicket, match=reason):
        tokens.verify_ticket(signed(LEAST, **header))


@pytest.mark.parametrize("part", [b'{"a":' * 5000, b'{"exp": ' + b"9" * 5000 + b"}", b"[1]", b"x", b"\xff"])
def test_unreadable_header_or_claims_are_refused_in_plain_words(tokens: UploadTokens, part: bytes) -> None:
    header = json.dumps({"alg": "HS256"}).encode()
    for token in (signed_parts(part, json.dumps(LEAST).encode()), signed_parts(header, part)):
        with pytest.raises(InvalidTicket, match=UNREADABLE):
            tokens.verify_ticket(token)


def test_forged_or_cut_ticket_is_refused(tokens: UploadTokens) -> None:
    header, claims, signature = signed(LEAST).split(".")
    others = signed(LEAST | {"owner": "eve"}).split(".")[1]
    for forged in (f"{header}.{others}.{signature}", f"{header}.{claims}.", f"{header}.{claims}", "ey.ey.ey", ""):
        with pytest.raises(InvalidTicket):
            tokens.verify_ticket(forged)


def test_receipt_is_no_ticket_and_proves_upload_owner_and_digest(tokens: UploadTokens) -> None:
    upload = accepted(owner="Zoë", sha256="ab" * 32, created_at=datetime.fromtimestamp(NOW + 0.9, UTC))

    receipt = tokens.sign_receipt(upload)

    assert jwt.get_unverified_header(receipt) == {"alg": "HS256", "typ": RECEIPT}
    proven = {"uploadId": upload.upload_id, "owner": "Zoë", "sha256": "ab" * 32, "iat": NOW}
    assert jwt.decode(receipt, NEW, ["HS256"]) == proven
    with pytest.raises(InvalidTicket):
        tokens.verify_ticket(receipt)
    with pytest.raises(InvalidTicket, match="no ticket"):
        tokens.verify_ticket(signed(LEAST, typ=RECEIPT))


def test_key_of_a_ticket_is_not_the_idempotency_key_of_the_same_text(tokens: UploadTokens) -> None:
    timeout = timedelta(seconds=1)
    ticket = tokens.verify_ticket(signed(LEAST)).idempotency_key(timeout)

    others = [parse_idempotency_key(["one"], caller, timeout) for caller in (b"", b"ticket", b"default")]

    assert ticket.digest not in {other.digest for other in others if other}
    assert ticket == upload_tokens.ticket_key("one", timeout)


@pytest.mark.parametrize(
    "text", ["", "a-key-of-16-chars", "one.two.three", "eyJ.a", "eyJ.a.b.c", "eyJ.a.b c", "eyé.a.b"]
)
def test_api_key_is_not_taken_for_a_token(text: str) -> None:
    assert not is_token(text.encode("latin-1"))
