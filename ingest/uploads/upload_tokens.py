"""Upload tickets and receipts: JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 by `UPLOAD_KEYS`.

A ticket lets its holder upload one image. A receipt proves to the back end what its client has uploaded. The header
`typ` distinguishes the two, so that neither is accepted as the other (RFC 8725, 3.11).
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
from jwt.types import Options

from ingest.idempotency_key import KEY_PATTERN, LIFETIME, IdempotencyKey, ticket_key
from ingest.ingest_errors import InvalidField, InvalidTicket, TicketExpired
from ingest.records import Upload
from ingest.uploads.upload_fields import FIELDS, read_field

TICKET, RECEIPT = "darkroom-ticket+jwt", "darkroom-receipt+jwt"
"""The `typ` of each. Tickets that other libraries sign may have their default, `JWT`, or none."""
MAX_LIFETIME = int(LIFETIME.total_seconds())
"""The most seconds that `exp` may be ahead. An upload can be found by its ticket for at least that time."""
_ALGORITHM = "HS256"
_OPTIONS: Options = {
    "require": ["exp", "jti"],
    "verify_iat": False,  # does not limit a ticket: the clock of the back end may be a little ahead
    "verify_iss": False,
    "verify_sub": False,
    "verify_aud": False,  # checked here, in clearer words, as are all other claims but the times
    "verify_jti": False,
}
_REGISTERED = frozenset({"exp", "jti", "iat", "nbf", "iss", "sub"})  # the last two are ignored
_UNREADABLE = (
    "The ticket cannot be read. A ticket is a JSON Web Token: a header with the `alg` HS256 and without `crit`, claims "
    "as a JSON object, in which `exp` and `nbf` are Unix seconds, and the signature."
)
_TOKEN = re.compile(rb"ey[\w-]*\.[\w-]*\.[\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A verified ticket. `fields`: values of the upload's fields by name. `max_bytes`: of the image; None: no limit."""

    jti: str
    fields: Mapping[str, Any]
    max_bytes: int | None

    def idempotency_key(self, attempt_timeout: timedelta) -> IdempotencyKey:
        """Returns the key that makes the ticket good for one upload. `attempt_timeout`: as in `IdempotencyKey`."""
        return ticket_key(self.jti, attempt_timeout)


def is_token(text: bytes) -> bool:
    """Whether `text` has the form of a JSON Web Token, valid or not."""
    return _TOKEN.fullmatch(text) is not None


class UploadTokens:
    """Signs tickets and receipts with the first of `keys`, verifies tickets with all of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def sign_ticket(self, claims: Mapping[str, Any], lifetime: int) -> tuple[str, int]:
        """Returns a new ticket with `claims` and its `exp`, in Unix seconds. `lifetime`: in seconds."""
        expires = int(time.time()) + lifetime
        return self._sign({"exp": expires, "jti": str(uuid4()), **claims}, TICKET), expires

    def sign_receipt(self, upload: Upload) -> str:
        """Returns the upload's receipt, always the same text with the same keys: `iat` is when it was accepted."""
        issued = int(upload.created_at.timestamp())
        claims = {"uploadId": upload.upload_id, "owner": upload.owner, "sha256": upload.sha256, "iat": issued}
        return self._sign(claims, RECEIPT)

    def verify_ticket(self, token: str) -> Ticket:
        """Returns the verified ticket. Raises InvalidTicket or TicketExpired."""
        claims = self._verify(token)
        if claims["exp"] > time.time() + MAX_LIFETIME:
            raise InvalidTicket(f"The ticket's `exp` may be at most {MAX_LIFETIME} seconds ahead.")
        jti, max_bytes = claims["jti"], claims.get("maxBytes")
        if not isinstance(jti, str) or not re.fullmatch(KEY_PATTERN, jti):
            raise InvalidTicket("The ticket's `jti` must be 1 to 255 visible ASCII characters, for instance a UUID.")
        if max_bytes is not None:
            read_max_bytes(max_bytes)
        fields = {name: value for name, value in claims.items() if name not in _REGISTERED and name != "maxBytes"}
        if unknown := fields.keys() - FIELDS:
            raise InvalidTicket(f"The ticket has the claim `{min(unknown)[:64]}`, which a ticket does not have.")
        try:
            return Ticket(jti, {name: read_field(name, value) for name, value in fields.items()}, max_bytes)
        except InvalidField as error:
            raise InvalidTicket(f"A claim of the ticket has an invalid value. {error}") from None

    def _sign(self, claims: dict[str, Any], kind: str) -> str:
        return jwt.encode(claims, self._keys[0], _ALGORITHM, headers={"typ": kind})

    def _verify(self, token: str) -> dict[str, Any]:
        """Returns the claims, among them `jti`, and `exp` as a number. Raises InvalidTicket or TicketExpired."""
        for key in self._keys:
            try:
                decoded = jwt.decode_complete(token, key, [_ALGORITHM], options=_OPTIONS)
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise TicketExpired("The ticket has expired. Ask your back end for a new one.") from None
            except jwt.MissingRequiredClaimError as error:
                raise InvalidTicket(f"The ticket lacks the claim `{error.claim}`.") from None
            except jwt.ImmatureSignatureError:
                raise InvalidTicket("The ticket is not valid yet: its `nbf` is ahead of this server's clock.") from None
            except jwt.InvalidAlgorithmError:
                raise InvalidTicket(f"The ticket must be signed with {_ALGORITHM}, which its `alg` names.") from None
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError):  # their messages are for programmers
                raise InvalidTicket(_UNREADABLE) from None
            if decoded["header"].get("typ", TICKET) not in (TICKET, "JWT"):
                raise InvalidTicket("This token is no ticket. Send a ticket that your back end signed for this upload.")
            claims: dict[str, Any] = decoded["payload"]
            if type(claims["exp"]) not in (int, float):
                raise InvalidTicket("The ticket's `exp` must be a number: Unix seconds.")
            return claims
        raise InvalidTicket("The ticket was not signed with one of this server's UPLOAD_KEYS.")


def read_max_bytes(value: object) -> int:
    """Returns a ticket's claim `maxBytes`, in bytes. Raises InvalidTicket unless it is a positive whole number."""
    if type(value) is not int or value < 1:
        raise InvalidTicket("The ticket's `maxBytes` must be a whole number of bytes, at least 1.")
    return value
