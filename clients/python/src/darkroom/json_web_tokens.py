"""JSON Web Tokens (RFC 7519) with HS256 and a fixed `typ`: nothing else is signed, and nothing else verified."""

from __future__ import annotations

import json
import re
import time
from base64 import urlsafe_b64decode
from typing import Any

from darkroom.signing import VerificationError, base64url, is_signed, signature, split_keys

_JWT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})", re.ASCII)  # 43 characters: 256 bits


def sign_jwt(claims: dict[str, Any], keys: str, kind: str) -> str:
    """Return a JWT of `claims` with `kind` as its `typ`, signed by the first key. Raises ValueError for bad keys."""
    header = {"alg": "HS256", "typ": kind}
    text = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{text}.{signature(split_keys(keys)[0], text)}"


def verify_jwt(token: object, keys: str, kind: str) -> dict[str, Any]:
    """Return the claims of a JWT that one of the keys signed.

    Raises VerificationError if it is malformed, of another `typ` or algorithm, not signed by one of the keys, or
    expired; ValueError for bad keys.
    """
    secrets = split_keys(keys)
    match = _JWT.fullmatch(token) if isinstance(token, str) else None
    if match is None or not is_signed(secrets, f"{match[1]}.{match[2]}", match[3]):
        raise VerificationError("the token is malformed, or was signed with another key")
    header, claims = _parse(match[1]), _parse(match[2])
    # The algorithm is pinned: a token cannot choose how it is verified. No extension (`crit`) is understood.
    if header.get("alg") != "HS256" or header.get("typ") != kind or "crit" in header:
        raise VerificationError(f"the token is no {kind} with HS256")
    expires = claims.get("exp")
    if expires is not None and (type(expires) not in (int, float) or expires <= time.time()):
        raise VerificationError("the token has expired")
    return claims


def _parse(part: str) -> dict[str, Any]:
    try:
        parsed = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode())
    except (ValueError, RecursionError) as error:
        raise VerificationError("the token holds no JSON") from error
    if not isinstance(parsed, dict):
        raise VerificationError("the token holds no JSON object")
    return parsed
