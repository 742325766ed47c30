"""Upload tickets that the server must accept, and those that it must refuse; with the cases of clients that sign."""

import json

from jwt_vectors import MADE_WITH, RECEIPT, TICKET, damaged, raw, sign
from signing import BOTH, NEW, NOW, OLD, UNICODE, Document
from ticket_cases import cases


def ticket_vectors() -> Document:
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
    valid = [
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
    signed, refused = cases(NOW)
    return {"madeWith": MADE_WITH, "verify": valid, "refuse": refuse, "sign": signed, "refuseToSign": refused}
