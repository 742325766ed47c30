"""`Idempotency-Key`: a caller's name for one upload, which makes sending it again safe.

The header follows draft-ietf-httpapi-idempotency-key-header; docs/decisions/0014 says what Darkroom guarantees.
"""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ingest.ingest_errors import Malformed

HEADER = "Idempotency-Key"
LIFETIME = timedelta(hours=24)
"""The time for which a repeat gets the first response. Afterwards the key can name another upload."""
TICKET_LIFETIME = LIFETIME + timedelta(hours=1)
"""The time for which a ticket counts as used. Longer than its validity, because clocks may differ."""

_TICKET, _SOURCE = "t", "s"  # first characters of digests; no hexadecimal digits, with which other digests begin
_SOURCE_NAME, _FINGERPRINT_NAME = "source", "source-fingerprint"  # of an original's metadata
FOREVER = timedelta(days=36_500)  # longer than any upload's age; `datetime` has no infinity
KEY_PATTERN = "^[!-~]{1,255}$"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key as it is stored. `digest` identifies the key and its caller without revealing either.

    An unfinished attempt older than `attempt_timeout` counts as dead. `label`: the key's name in messages. `lifetime`:
    how long it names its upload. `again`: whether the key may name a new upload after its first upload was deleted.
    """

    digest: str
    attempt_timeout: timedelta
    label: str = f"`{HEADER}`"
    lifetime: timedelta = LIFETIME
    again: bool = False


def parse_idempotency_key(values: Sequence[str], caller: bytes, attempt_timeout: timedelta) -> IdempotencyKey | None:
    """Parses the values of a request's `Idempotency-Key` headers. Returns None if there is no such header.

    `caller` is the name of the API key, or empty. Raises Malformed for several values, and unless the value is 1 to 255
    visible ASCII characters.
    """
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(KEY_PATTERN, values[0]):
        raise Malformed(f"Send `{HEADER}` once, with 1 to 255 visible ASCII characters, for instance a UUID.")
    return IdempotencyKey(hmac.new(caller, values[0].encode(), "sha256").hexdigest(), attempt_timeout)


def ticket_key(jti: str, attempt_timeout: timedelta) -> IdempotencyKey:
    """Returns the key of an upload with a ticket. Its digest begins with a letter that other digests lack."""
    digest = _TICKET + hmac.new(b"ticket", jti.encode(), "sha256").hexdigest()[1:]
    return IdempotencyKey(digest, attempt_timeout, "ticket", TICKET_LIFETIME)


def source_key(source: str, attempt_timeout: timedelta, *, again: bool = False) -> IdempotencyKey:
    """Returns the key of an imported source, which names its upload for as long as the upload exists.

    `source`: its identity, in which bytes of a file's name that are not UTF-8 are escaped as surrogates.
    """
    digest = _SOURCE + hmac.new(b"source", source.encode(errors="surrogateescape"), "sha256").hexdigest()[1:]
    return IdempotencyKey(digest, attempt_timeout, "source", FOREVER, again)


def source_metadata(key: IdempotencyKey | None, known_by: str | None) -> dict[str, str]:
    """Returns the metadata by which an imported original names its source, for `darkroom readopt`.

    `known_by`: the upload's fingerprint. The result is empty for uploads that were not imported.
    """
    if key is None or known_by is None or not is_source_digest(key.digest):
        return {}
    return {_SOURCE_NAME: key.digest, _FINGERPRINT_NAME: known_by}


def source_of(metadata: Mapping[str, str]) -> tuple[IdempotencyKey, str] | None:
    """The inverse of `source_metadata`: key and fingerprint. None for the original of another upload."""
    digest, known_by = metadata.get(_SOURCE_NAME, ""), metadata.get(_FINGERPRINT_NAME, "")
    if not re.fullmatch(f"{_SOURCE}[0-9a-f]{{63}}", digest) or not re.fullmatch("[0-9a-f]{64}", known_by):
        return None
    return IdempotencyKey(digest, timedelta(0), "source", FOREVER), known_by


def is_ticket_digest(digest: str) -> bool:
    return digest.startswith(_TICKET)


def is_source_digest(digest: str) -> bool:
    return digest.startswith(_SOURCE)


def fingerprint(sha256: str, fields: Mapping[str, object]) -> str:
    """Returns a digest that identifies repeats of an upload: of its image, and of its fields if it has any."""
    return hashlib.sha256(f"{sha256} {json.dumps(fields, sort_keys=True)}".encode()).hexdigest() if fields else sha256


async def digest(chunks: AsyncIterator[bytes]) -> str:
    """Returns the SHA-256 of all chunks, in hexadecimal. Raises what `chunks` raises."""
    sha256 = hashlib.sha256()
    async for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()
