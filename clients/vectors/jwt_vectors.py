"""What tickets and receipts share: JSON Web Tokens by PyJWT and openssl, and those that neither may accept."""

import json
from typing import Any

import jwt
from signing import NEW, OTHER, base64url, openssl, other_last_bits

TICKET, RECEIPT = "darkroom-ticket+jwt", "darkroom-receipt+jwt"
MADE_WITH = f"PyJWT {jwt.__version__}, openssl"


def sign(claims: object, key: str, kind: str | None, algorithm: str = "HS256", **headers: object) -> str:
    """A JWT by PyJWT. `claims` that are no object go through its lower layer, which takes any bytes."""
    if isinstance(claims, dict):
        return jwt.encode(claims, key, algorithm=algorithm, headers={"typ": kind, **headers})
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jwt.PyJWS().encode(payload, key, algorithm=algorithm, headers={"typ": kind, **headers})


def raw(key: str, head: bytes, payload: bytes) -> str:
    """A JWT of any bytes, signed by openssl."""
    text = f"{base64url(head)}.{base64url(payload)}"
    return f"{text}.{openssl(key, text)}"


def damaged(good: str, kind: str, other_kind: str, claims: dict[str, Any]) -> list[tuple[str, str]]:
    """What neither tickets nor receipts may accept."""
    head, payload, signature = good.split(".")
    none = base64url(json.dumps({"alg": "none", "typ": kind}).encode())
    body = json.dumps(claims).encode()
    return [
        ("empty", ""),
        ("no JWT", "a.b.c"),
        ("two parts", f"{head}.{payload}"),
        ("four parts", f"{good}.{signature}"),
        ("no signature", f"{head}.{payload}."),
        ("algorithm none, no signature", f"{none}.{payload}."),
        ("algorithm none, signed all the same", raw(NEW, json.dumps({"alg": "none", "typ": kind}).encode(), body)),
        ("algorithm HS512", sign(claims, NEW, kind, "HS512")),
        ("algorithm HS384", sign(claims, NEW, kind, "HS384")),
        ("algorithm in lower case", raw(NEW, json.dumps({"alg": "hs256", "typ": kind}).encode(), body)),
        ("no algorithm", raw(NEW, json.dumps({"typ": kind}).encode(), body)),
        ("of another key", sign(claims, OTHER, kind)),
        ("the other kind", sign(claims, NEW, other_kind)),
        (
            "other claims under the signature",
            f"{head}.{base64url(json.dumps({**claims, 'owner': 'eve'}).encode())}.{signature}",
        ),
        ("a header that is no JSON", raw(NEW, b"{", body)),
        ("a header that is no object", raw(NEW, b'["HS256"]', body)),
        ("claims that are no JSON", sign(b"{", NEW, kind)),
        ("claims that are no object", sign([claims], NEW, kind)),
        ("claims that are no UTF-8", sign(b'{"owner": "\xff"}', NEW, kind)),
        ("a padded part", f"{head}.{payload}=.{signature}"),
        ("a newline at the end", f"{good}\n"),
        ("a signature with other last bits", f"{head}.{payload}.{other_last_bits(signature)}"),
        ("a critical extension", sign(claims, NEW, kind, crit=["x"], x=1)),
    ]
