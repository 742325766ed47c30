"""`Idempotency-Key`: a caller's name for one upload, so that sending it again does no harm.

The header is that of draft-ietf-httpapi-idempotency-key-header; what we promise of it: docs/decisions/0014.
"""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ingest.errors import Malformed

HEADER = "Idempotency-Key"
LIFETIME = timedelta(hours=24)
"""How long the first answer is given again; afterwards the key names another upload."""

KEY_PATTERN = "^[!-~]{1,255}$"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key as it is kept: `digest` stands for the key and its caller, and gives neither away.

    An attempt that is older than `patience` and has not ended is taken for dead.
    """

    digest: str
    patience: timedelta


def parse_idempotency_key(values: Sequence[str], caller: bytes, patience: timedelta) -> IdempotencyKey | None:
    """The claim of a request with these headers, None without any. `caller` is its API key, or empty.

    Raises Malformed for more than one, and for what is not 1 to 255 visible ASCII characters.
    """
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(KEY_PATTERN, values[0]):
        raise Malformed(f"`{HEADER}` is 1 to 255 visible ASCII characters, once; a UUID does well.")
    return IdempotencyKey(hmac.new(caller, values[0].encode(), "sha256").hexdigest(), patience)


async def fingerprint(chunks: AsyncIterator[bytes]) -> str:
    """SHA-256 of all of them, in hexadecimal. Raises what `chunks` raises."""
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
