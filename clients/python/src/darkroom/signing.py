"""Secrets and HMAC-SHA256, and the tokens that open private variants."""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode

from darkroom.urls import check_upload_id

MIN_KEY_LENGTH = 32
"""Characters of a secret: the server's own minimum. `darkroom keys secret` prints one of 43."""

_MAX_EXPIRES = 10**12  # Unix seconds: the largest time that the server reads has 12 digits


class VerificationError(ValueError):
    """What was to be verified is not genuine, or has expired."""


def split_keys(keys: str) -> list[str]:
    """Split a setting such as SIGNING_KEYS at commas and line ends: the first key signs, all verify.

    Raises ValueError without a key, and for one of fewer than 32 characters.
    """
    found = [key for part in re.split(r"[,\n]", keys) if (key := part.strip())]
    if not found:
        raise ValueError("there is no key: give the value of the server's SIGNING_KEYS or UPLOAD_KEYS")
    if any(len(key) < MIN_KEY_LENGTH for key in found):
        raise ValueError(f"a key has at least {MIN_KEY_LENGTH} characters: `darkroom keys secret` prints one")
    return found


def signature(key: str, text: str) -> str:
    """Return HMAC-SHA256 of `text` as unpadded base64url. The key's bytes are its UTF-8."""
    return base64url(hmac.digest(key.encode(), text.encode(), "sha256"))


def is_signed(keys: list[str], text: str, given: str) -> bool:
    """Whether one of the keys made the signature. Compares with all, so that the duration tells nothing."""
    return any([hmac.compare_digest(signature(key, text).encode(), given.encode()) for key in keys])  # noqa: C419 - a generator would stop at the first


def base64url(data: bytes) -> str:
    """Return unpadded base64url, as JWTs and tokens have it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def sign_token(upload_id: str, keys: str, *, lifetime: int = 3600, expires: int | None = None) -> str:
    """Return a token for the private variants of one upload, to pass as `token` to `variant_url` and `picture_html`.

    `keys` is the server's SIGNING_KEYS; the first signs. `lifetime`: seconds for which the token is valid at least. Its
    end is rounded up by at most a quarter, so that pages which are rendered soon after each other have the same URLs
    and browsers reuse the image. `expires`: the exact end instead, in Unix seconds. Raises ValueError for malformed
    arguments.
    """
    check_upload_id(upload_id)
    key = split_keys(keys)[0]
    if expires is None:
        if lifetime < 1:
            raise ValueError(f"a lifetime is at least one second, not {lifetime!r}")
        step = max(1, lifetime // 4)
        expires = -(-(int(time.time()) + lifetime) // step) * step
    if not 0 < expires < _MAX_EXPIRES:
        raise ValueError(f"a time is in Unix seconds, not {expires!r}")
    return f"v1.{expires:d}.{signature(key, f'v1:{upload_id}:{expires:d}')}"
