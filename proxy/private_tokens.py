"""Tokens for private variants: `v1.{expires}.{signature}`. One opens all variants of one upload until it expires.

`signature` is the unpadded base64url of HMAC-SHA256(key, "v1:" + uploadId + ":" + expires), so that back ends and edges
can sign and verify without this server.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from proxy.errors import InvalidToken
from proxy.model import UploadId

_TOKEN = re.compile(r"v1\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})", re.ASCII)  # 43 characters are 256 bits


def seconds_left(keys: Sequence[str], upload_id: UploadId, token: str, now: float) -> float:
    """Returns for how many seconds after `now`, in Unix seconds, the token is valid. Each of `keys` may have signed it.

    Raises InvalidToken, after the same time whatever is wrong with the signature.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidToken("Private images need a token: add `?token=` with one that your application signed.")
    expires, signature = match.groups()
    # Compare with every key, so that the duration does not reveal which one was close.
    matches = [hmac.compare_digest(signature, _signature(key, upload_id, expires)) for key in keys]
    if not any(matches):
        raise InvalidToken("The token is not of this upload, or was signed with another key.")
    left = int(expires) - now
    if left <= 0:
        raise InvalidToken("The token has expired. Reload the page that shows the image.")
    return left


def _signature(key: str, upload_id: UploadId, expires: str) -> str:
    digest = hmac.digest(key.encode(), f"v1:{upload_id}:{expires}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
