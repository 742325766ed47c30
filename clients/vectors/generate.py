# /// script
# requires-python = ">=3.11"
# dependencies = ["pyjwt==2.15.1", "standardwebhooks==1.1.0"]
# ///
"""Writes the shared test vectors, by tools that are not Darkroom's: PyJWT, openssl and standardwebhooks.

`uv run clients/vectors/generate.py`, or run it in an environment with the packages above. The files are committed; the
script writes the same files each time.
"""

import base64
import json
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from standardwebhooks import Webhook
from ticket_cases import cases

HERE = Path(__file__).parent
NOW = 1_800_000_000  # 15 January 2027
OLD, NEW, OTHER = (
    "old-secret-0123456789abcdef012345678",
    "new-secret-0123456789abcdef012345678",
    "another-secret-0123456789abcdef0123",
)
UNICODE = "schlüssel-ключ-鍵-0123456789abcdef"  # the key is its UTF-8
BOTH = f"{NEW},{OLD}"
IDS = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "00000000-0000-4000-8000-000000000000"
TICKET, RECEIPT = "darkroom-ticket+jwt", "darkroom-receipt+jwt"

Case = dict[str, Any]


def write(name: str, document: dict[str, Any]) -> None:
    text = json.dumps({"now": NOW, **document}, indent=2, ensure_ascii=False)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(key: str, text: str) -> str:
    """HMAC-SHA256 of `text`, as unpadded base64url."""
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.encode().hex()}", "-binary"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)  # noqa: S603 - constants of this file
    return base64url(done.stdout)


def token(key: str, upload_id: str, expires: int | str) -> str:
    return f"v1.{expires}.{openssl(key, f'v1:{upload_id}:{expires}')}"


def tokens() -> None:
    (one, two), later = IDS, NOW + 3600
    good = token(NEW, one, later)
    head, signature = good.rsplit(".", 1)
    padded = f"{good}{'=' * (-len(signature) % 4)}"
    valid = [
        {"name": name, "keys": keys, "uploadId": upload_id, "expires": expires, "token": token(key, upload_id, expires)}
        for name, keys, key, upload_id, expires in (
            ("one key", NEW, NEW, one, later),
            ("the first key signs", BOTH, NEW, one, later),
            ("another upload", NEW, NEW, two, later),
            ("one second left", NEW, NEW, one, NOW + 1),
            ("a key with letters outside of ASCII", UNICODE, UNICODE, one, later),
        )
    ]
    rotated = [
        {"name": "the second key still verifies", "keys": BOTH, "uploadId": one, "token": token(OLD, one, later)}
    ]
    invalid = [
        {"name": name, "keys": BOTH, "uploadId": one, "token": each}
        for name, each in (
            ("empty", ""),
            ("expired this second", token(NEW, one, NOW)),
            ("expired long ago", token(NEW, one, 1)),
            ("of another upload", token(NEW, two, later)),
            ("of another key", token(OTHER, one, later)),
            ("of both keys as one", token(BOTH, one, later)),
            ("a later time than was signed", f"v1.{later + 1}.{signature}"),
            ("another version", f"v2{good[2:]}"),
            ("no version", good.removeprefix("v1.")),
            ("no signature", f"{head}."),
            ("a part of the signature", good[:-1]),
            ("a padded signature", padded),
            ("a newline at the end", f"{good}\n"),
            ("a space at the start", f" {good}"),
            ("a time with a leading zero", token(NEW, one, f"0{later}")),
            ("a time with a sign", token(NEW, one, f"+{later}")),
            ("a negative time", token(NEW, one, -later)),
            ("a time with a point", token(NEW, one, f"{later}.0")),
            ("a time in other digits", token(NEW, one, str(later).translate({48 + n: 0x660 + n for n in range(10)}))),
            ("a time with 400 digits", token(NEW, one, "9" * 400)),
            ("a signature with other last bits", f"{head}.{_other_last_bits(signature)}"),
            ("another part", f"{good}.x"),
        )
    ]
    write(
        "tokens.json",
        {"madeWith": "openssl dgst -sha256 -mac HMAC", "sign": valid, "verify": rotated, "refuse": invalid},
    )


def _other_last_bits(signature: str) -> str:
    """The same bytes in another spelling: 43 characters have two bits more than 32 bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(other + "=") == base64.urlsafe_b64decode(signature + "=")
    return other


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
        ("a signature with other last bits", f"{head}.{payload}.{_other_last_bits(signature)}"),
        ("a critical extension", sign(claims, NEW, kind, crit=["x"], x=1)),
    ]


def tickets() -> None:
    least = {"exp": NOW + 600, "jti": "0a1b2c3d-0000-4000-8000-000000000001"}
    full = {
        **least,
        "owner": "user-42",
        "externalId": "listing-7/front",
        "metadata": {"listing": 7, "tags": ["front"]},
        "visibility": "private",
        "focus": "0.3,0.7",
        "maxBytes": 5_000_000,
    }
    foreign = {**least, "owner": "Jürgen 鍵", "externalId": "größe & <b>"}
    good = sign(full, NEW, TICKET)
    valid: list[Case] = [
        {"name": name, "keys": keys, "claims": claims, "jwt": sign(claims, key, TICKET)}
        for name, keys, key, claims in (
            ("only what is required", NEW, NEW, least),
            ("every claim", NEW, NEW, full),
            ("the first key signs", BOTH, NEW, full),
            ("the second key still verifies", BOTH, OLD, full),
            ("a key with letters outside of ASCII", UNICODE, UNICODE, full),
            ("claims with letters outside of ASCII", NEW, NEW, foreign),
        )
    ]
    valid.append(
        {"name": "claims as UTF-8", "keys": NEW, "claims": foreign}
        | {
            "jwt": raw(
                NEW,
                json.dumps({"typ": TICKET, "alg": "HS256"}).encode(),
                json.dumps(foreign, ensure_ascii=False).encode(),
            )
        }
    )
    without = {name: {key: value for key, value in full.items() if key != name} for name in ("exp", "jti")}
    invalid = [
        *damaged(good, TICKET, RECEIPT, full),
        ("expired this second", sign({**full, "exp": NOW}, NEW, TICKET)),
        ("no exp", sign(without["exp"], NEW, TICKET)),
        ("no jti", sign(without["jti"], NEW, TICKET)),
        (
            "exp that is text",
            raw(
                NEW,
                json.dumps({"alg": "HS256", "typ": TICKET}).encode(),
                json.dumps({**full, "exp": str(NOW + 600)}).encode(),
            ),
        ),
        (
            "exp that is true",
            raw(NEW, json.dumps({"alg": "HS256", "typ": TICKET}).encode(), json.dumps({**full, "exp": True}).encode()),
        ),
        ("exp more than a day ahead", sign({**full, "exp": NOW + 86_401}, NEW, TICKET)),
        ("jti that is empty", sign({**full, "jti": ""}, NEW, TICKET)),
        ("jti with a space", sign({**full, "jti": "a b"}, NEW, TICKET)),
        ("a claim that tickets do not have", sign({**full, "role": "admin"}, NEW, TICKET)),
    ]
    refuse = [{"name": name, "keys": BOTH, "jwt": each} for name, each in invalid]
    document: dict[str, Any] = {"madeWith": f"PyJWT {jwt.__version__}, openssl", "verify": valid, "refuse": refuse}
    document["sign"], document["refuseToSign"] = cases(NOW)
    write("tickets.json", document)


def receipts() -> None:
    claims = {
        "uploadId": IDS[0],
        "owner": "user-42",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }
    nobody = {**claims, "owner": None}
    good = sign(claims, NEW, RECEIPT)
    valid = [
        {"name": name, "keys": keys, "owner": claims["owner"], "claims": claims, "jwt": sign(claims, key, RECEIPT)}
        for name, keys, key, claims in (
            ("one key", NEW, NEW, claims),
            ("the second key still verifies", BOTH, OLD, claims),
            ("an upload without an owner", NEW, NEW, nobody),
            ("a time of issue", NEW, NEW, {**claims, "iat": NOW}),
            ("not yet expired", NEW, NEW, {**claims, "exp": NOW + 1}),
        )
    ]
    without = {key: value for key, value in claims.items() if key != "uploadId"}
    invalid = [(name, "user-42", each) for name, each in damaged(good, RECEIPT, TICKET, claims)]
    invalid += [
        ("typ JWT", "user-42", sign(claims, NEW, "JWT")),
        ("no typ", "user-42", sign(claims, NEW, None)),
        ("of another owner", "user-43", good),
        ("of an owner, where none is expected", None, good),
        ("without an owner, where one is expected", "user-42", sign(nobody, NEW, RECEIPT)),
        ("expired this second", "user-42", sign({**claims, "exp": NOW}, NEW, RECEIPT)),
        ("no uploadId", "user-42", sign(without, NEW, RECEIPT)),
        ("an uploadId of another form", "user-42", sign({**claims, "uploadId": "../secret"}, NEW, RECEIPT)),
    ]
    refuse = [{"name": name, "keys": BOTH, "owner": owner, "jwt": each} for name, owner, each in invalid]
    write("receipts.json", {"madeWith": f"PyJWT {jwt.__version__}, openssl", "verify": valid, "refuse": refuse})


def webhooks() -> None:
    secret, new, other = (f"whsec_{base64.b64encode(uuid.UUID(int=n).bytes * 2).decode()}" for n in (1, 2, 3))
    event = {"type": "image.ready", "timestamp": "2027-01-15T08:00:00+00:00", "data": {"uploadId": IDS[0]}}
    body = json.dumps(event)
    foreign = json.dumps({**event, "data": {"owner": "Jürgen 鍵"}}, ensure_ascii=False)

    def headers(key: str, body: str = body, moment: int = NOW, message: str = "msg_1") -> dict[str, str]:
        signature = Webhook(key).sign(message, datetime.fromtimestamp(moment, UTC), body)
        return {"webhook-id": message, "webhook-timestamp": str(moment), "webhook-signature": signature}

    good = headers(secret)
    foreign_signature = headers(other)["webhook-signature"]

    def changed(**changes: str) -> dict[str, str]:
        return good | {f"webhook-{name}": value for name, value in changes.items()}

    signature = good["webhook-signature"]
    valid = [
        ("one signature", secret, body, good),
        ("300 seconds old", secret, body, headers(secret, moment=NOW - 300)),
        ("300 seconds early", secret, body, headers(secret, moment=NOW + 300)),
        ("the second signature", secret, body, changed(signature=f"{foreign_signature} {signature}")),
        ("beside a signature of another version", secret, body, changed(signature=f"v1a,AAAA {signature}")),
        ("the second secret", f"{new},{secret}", body, good),
        ("header names in other cases", secret, body, {name.title(): value for name, value in good.items()}),
        ("letters outside of ASCII", secret, foreign, headers(secret, foreign)),
        ("a secret without its prefix", secret.removeprefix("whsec_"), body, good),
    ]
    invalid = [
        ("another body", body.replace("ready", "stale"), good),
        ("another id", body, changed(id="msg_2")),
        ("another time", body, changed(timestamp=str(NOW + 1))),
        ("of another secret", body, headers(other)),
        ("another version", body, changed(signature=signature.replace("v1,", "v2,"))),
        ("no version", body, changed(signature=signature.removeprefix("v1,"))),
        ("an empty signature", body, changed(signature="v1,")),
        ("no base64", body, changed(signature="v1,!!!!")),
        ("letters outside of ASCII", body, changed(signature="v1,schlüssel")),
        ("301 seconds old", body, headers(secret, moment=NOW - 301)),
        ("301 seconds early", body, headers(secret, moment=NOW + 301)),
        ("a time that is no number", body, changed(timestamp="now")),
        ("a time with a point", body, changed(timestamp=f"{NOW}.0")),
        ("no id", body, {name: value for name, value in good.items() if name != "webhook-id"}),
        ("no time", body, {name: value for name, value in good.items() if name != "webhook-timestamp"}),
        ("no signature", body, {name: value for name, value in good.items() if name != "webhook-signature"}),
        ("no headers", body, {}),
    ]
    write(
        "webhooks.json",
        {
            "madeWith": "standardwebhooks 1.1.0",
            "verify": [dict(zip(("name", "secret", "body", "headers"), case, strict=True)) for case in valid],
            "refuse": [
                {"name": name, "secret": secret, "body": body, "headers": headers} for name, body, headers in invalid
            ],
        },
    )


if __name__ == "__main__":
    tokens()
    tickets()
    receipts()
    webhooks()
