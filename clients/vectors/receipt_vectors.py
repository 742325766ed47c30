"""Receipts of uploads that clients must verify, and those that they must refuse."""

from jwt_vectors import MADE_WITH, RECEIPT, TICKET, damaged, sign
from signing import BOTH, IDS, NEW, NOW, OLD, Document


def receipt_vectors() -> Document:
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
    return {"madeWith": MADE_WITH, "verify": valid, "refuse": refuse}
