"""Signed webhooks, by the reference library."""

import base64
import json
import uuid
from datetime import UTC, datetime

from signing import IDS, NOW, Document
from standardwebhooks import Webhook


def webhook_vectors() -> Document:
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
    return {
        "madeWith": "standardwebhooks 1.1.0",
        "verify": [dict(zip(("name", "secret", "body", "headers"), case, strict=True)) for case in valid],
        "refuse": [
            {"name": name, "secret": secret, "body": body, "headers": headers} for name, body, headers in invalid
        ],
    }
