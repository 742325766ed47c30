"""Verifies webhooks, which are signed as Standard Webhooks (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hmac
import json
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from darkroom.signing import VerificationError

TOLERANCE = 300
"""Seconds between the webhook's time and now: the five minutes of Standard Webhooks' own libraries."""

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


def verify_webhook(body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: int = TOLERANCE) -> Any:
    """Return the JSON of a webhook that Darkroom sent: `type`, `timestamp` and `data`.

    `body`: the bytes as they arrived, before any parsing. `headers`: those of the request, in any case. `secret`: the
    server's WEBHOOK_SECRET; several, separated by commas, while you change it. `tolerance`: seconds by which the
    webhook's time may differ from now. A webhook may arrive twice: its `webhook-id` is the same both times.
    Raises VerificationError if it is not genuine or too old, ValueError if the secret is malformed.
    """
    keys = [_key(each.strip()) for each in secret.split(",")]
    lower = {name.lower(): value for name, value in headers.items()}
    message, moment = lower.get("webhook-id", ""), lower.get("webhook-timestamp", "")
    if not message or not _SECONDS.fullmatch(moment):
        raise VerificationError("the request has no webhook-id and webhook-timestamp")
    signed = _encode(f"{message}.{moment}.") + body
    expected = [b"v1," + b64encode(hmac.digest(key, signed, "sha256")) for key in keys]
    given = [_encode(each) for each in lower.get("webhook-signature", "").split(" ")]
    # Compare all with all, so that the duration tells nothing.
    matches = [hmac.compare_digest(one, other) for one in expected for other in given]
    if not any(matches):
        raise VerificationError("the webhook was signed with another secret, or changed on its way")
    if abs(time.time() - int(moment)) > tolerance:
        raise VerificationError(f"the webhook's time differs from now by more than {tolerance} seconds")
    try:
        return json.loads(body)
    except ValueError as error:
        raise VerificationError("the webhook holds no JSON") from error


def _encode(header: str) -> bytes:
    return header.encode(errors="surrogateescape")  # as some frameworks decode headers


def _key(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise ValueError("a webhook's secret is `whsec_` and base64") from error
    if not key:
        raise ValueError("the webhook's secret is empty")
    return key
