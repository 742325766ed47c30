"""Uploads straight from browsers: tickets that allow one upload each, and receipts that prove what was uploaded."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from darkroom.json_web_tokens import sign_jwt, verify_jwt
from darkroom.signing import VerificationError
from darkroom.urls import is_upload_id

TICKET, RECEIPT = "darkroom-ticket+jwt", "darkroom-receipt+jwt"
"""The `typ` of each, so that neither passes for the other."""

MAX_TEXT = 128  # characters of `owner` and `externalId`
MAX_METADATA = 4096  # bytes of JSON
MAX_LIFETIME = 86_400  # seconds: as long as the server knows a repeated upload by its ticket

_FOCUS = re.compile(r"(0(\.[0-9]+)?|1(\.0+)?),(0(\.[0-9]+)?|1(\.0+)?)", re.ASCII)
_TICKET_ID = re.compile(r"[!-~]{1,255}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Receipt(NamedTuple):
    """What a receipt proves: this upload exists, belongs to this owner, and its original has this SHA-256 (hex)."""

    upload_id: str
    owner: str | None
    sha256: str


def sign_ticket(
    keys: str,
    *,
    owner: str | None = None,
    external_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    visibility: Literal["public", "private"] | None = None,
    focus: str | None = None,
    max_bytes: int | None = None,
    lifetime: int = 600,
    ticket_id: str | None = None,
) -> str:
    """Return a ticket with which a browser may upload one image. It sends it as `Authorization: Bearer TICKET`.

    `keys` is the server's UPLOAD_KEYS; the first signs. What the ticket says wins over the fields that the browser
    sends: `owner` and `external_id` (at most 128 characters each), `metadata` (a JSON object of at most 4 KiB),
    `visibility`, `focus` (`x,y`, shares from 0 to 1 of the upright image), and the largest original in bytes.
    `lifetime`: seconds in which the upload must begin, at most a day. `ticket_id`: the `jti`, a new UUID by default;
    all uploads with the same one are one upload. Raises ValueError for malformed arguments.
    """
    for name, text in (("owner", owner), ("external_id", external_id)):
        if text is not None and not 0 < len(text) <= MAX_TEXT:
            raise ValueError(f"{name} has 1 to {MAX_TEXT} characters, not {len(text)}")
    if (
        metadata is not None
        and len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_METADATA
    ):
        raise ValueError(f"metadata has at most {MAX_METADATA} bytes of JSON")
    if visibility not in (None, "public", "private"):
        raise ValueError(f"visibility is public or private, not {visibility!r}")
    if focus is not None and not _FOCUS.fullmatch(focus):
        raise ValueError(f"focus is x,y, each from 0 to 1, not {focus!r}")
    if max_bytes is not None and max_bytes < 1:
        raise ValueError(f"max_bytes is at least 1, not {max_bytes!r}")
    if ticket_id is not None and not _TICKET_ID.fullmatch(ticket_id):
        raise ValueError("ticket_id has 1 to 255 visible ASCII characters")
    if not 1 <= lifetime <= MAX_LIFETIME:
        raise ValueError(f"a ticket's lifetime is 1 to {MAX_LIFETIME} seconds, not {lifetime!r}")
    claims = {
        "exp": int(time.time()) + lifetime,
        "jti": ticket_id or str(uuid4()),
        "owner": owner,
        "externalId": external_id,
        "metadata": metadata,
        "visibility": visibility,
        "focus": focus,
        "maxBytes": max_bytes,
    }
    return sign_jwt({name: value for name, value in claims.items() if value is not None}, keys, TICKET)


def verify_receipt(receipt: object, keys: str, *, owner: str | None) -> Receipt:
    """Return what the `receipt` of an upload proves. A client hands it over; without it, an upload id proves nothing.

    `keys` is the server's UPLOAD_KEYS. `owner`: the one that your ticket named, usually the signed-in user, so that
    nobody hands over the receipt of another; None if your tickets name none. A receipt can be handed over twice: keep
    upload ids unique in your database. Raises VerificationError if the receipt is not genuine or of another owner.
    """
    claims = verify_jwt(receipt, keys, RECEIPT)
    upload_id, sha256 = claims.get("uploadId"), claims.get("sha256")
    if not (isinstance(upload_id, str) and is_upload_id(upload_id)):
        raise VerificationError("the receipt names no upload")
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise VerificationError("the receipt has no SHA-256")
    if claims.get("owner") != owner:
        raise VerificationError("the receipt is of another owner")
    return Receipt(upload_id, owner, sha256)
