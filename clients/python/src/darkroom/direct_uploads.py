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
MAX_DEPTH = 16  # objects and arrays that `metadata` may nest
MAX_LIFETIME = 86_400  # seconds: as long as the server knows a repeated upload by its ticket

_SHARE = r"(0([.][0-9]{1,20})?|1([.]0{1,20})?)"
_FOCUS = re.compile(f"{_SHARE},{_SHARE}", re.ASCII)
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
    """Return a ticket with which a browser may upload one image, as `Authorization: Bearer TICKET`.

    `keys` is the server's UPLOAD_KEYS; the first signs. What the ticket says wins over the fields that the browser
    sends: `owner` and `external_id` (at most 128 printable characters each), `metadata` (a JSON object of at most
    4 KiB), `visibility`, `focus` (`x,y`, shares from 0 to 1 of the upright image), and `max_bytes` of the image.
    `lifetime`: seconds in which the upload must begin, at most a day. `ticket_id`: the `jti`, a new UUID by default;
    all uploads with the same one are one upload. Raises ValueError for malformed arguments.
    """
    for name, text in (("owner", owner), ("external_id", external_id)):
        if text is not None and not (isinstance(text, str) and 0 < len(text) <= MAX_TEXT and text.isprintable()):
            raise ValueError(f"{name} is text of 1 to {MAX_TEXT} printable characters")
    if metadata is not None:
        _check_metadata(metadata)
    if visibility not in (None, "public", "private"):
        raise ValueError(f"visibility is public or private, not {visibility!r}")
    if focus is not None and not (isinstance(focus, str) and _FOCUS.fullmatch(focus)):
        raise ValueError(f"focus is x,y, each from 0 to 1, not {focus!r}")
    if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
        raise ValueError(f"max_bytes is a whole number, at least 1, not {max_bytes!r}")
    if ticket_id is not None and not (isinstance(ticket_id, str) and _TICKET_ID.fullmatch(ticket_id)):
        raise ValueError("ticket_id has 1 to 255 visible ASCII characters")
    if type(lifetime) is not int or not 1 <= lifetime <= MAX_LIFETIME:
        raise ValueError(f"a ticket's lifetime is 1 to {MAX_LIFETIME} whole seconds, not {lifetime!r}")
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


def _check_metadata(metadata: object) -> None:
    """Raise ValueError for what the server refuses."""
    if not isinstance(metadata, dict):
        raise ValueError("metadata is a JSON object")  # noqa: TRY004 - as for every other argument
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata is no JSON ({error})") from error
    if size > MAX_METADATA:
        raise ValueError(f"metadata has at most {MAX_METADATA} bytes of JSON, not {size}")
    _check_value(json.loads(text), MAX_DEPTH)


def _check_value(value: object, depth: int) -> None:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("metadata has no text with U+0000")
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError(f"metadata nests at most {MAX_DEPTH} objects and arrays")
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_value(each, depth - 1)


def verify_receipt(receipt: object, keys: str, *, owner: str | None) -> Receipt:
    """Return what the `receipt` of an upload proves. A client sends it; without it, an upload id proves nothing.

    `keys` is the server's UPLOAD_KEYS. `owner`: the one that your ticket named, usually the signed-in user, so that no
    user sends the receipt of another user; None if your tickets name none. A receipt can be sent twice: keep upload ids
    unique in your database. Raises VerificationError if the receipt is not genuine or of another owner.
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
