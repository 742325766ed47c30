"""The call that makes upload tickets, for back ends that do not sign them themselves."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.ingest_errors import InvalidField
from ingest.serialization import schemas
from ingest.uploads.upload_fields import FIELDS, parse_object, read_field, refuse_private, unknown_field
from ingest.uploads.upload_tokens import MAX_LIFETIME, UploadTokens
from ingest.web.query_parameters import read_query
from ingest.web.request_bodies import TimedBody, read_small_body
from proxy.errors import ServiceError
from proxy.settings import Settings
from proxy.web.problems import problem

TICKETS_PATH = "/images/tickets"
LIFETIME = 600
"""Seconds for which a ticket is valid unless `expiresIn` says otherwise."""
_NAMES = (*FIELDS, "maxBytes", "expiresIn")


class TicketRoutes:
    """`POST /images/tickets`. `tokens`: None without `UPLOAD_KEYS`; the call is then 404.

    `can_open_private`: whether uploads may be private.
    """

    def __init__(self, settings: Settings, tokens: UploadTokens | None, *, can_open_private: bool) -> None:
        self._tokens = tokens
        self._can_open_private = can_open_private
        self._max_bytes = settings.max_upload_mb << 20
        self._timeouts = {"total": settings.upload_timeout, "stall": settings.upload_stall_timeout}

    async def create(self, request: Request) -> Response:
        body = TimedBody(request, **self._timeouts)
        try:
            if self._tokens is None:
                raise HTTPException(404, "This server makes no upload tickets: UPLOAD_KEYS is not set.")
            read_query(request, ())
            claims, lifetime = self._read(await read_small_body(body))
        except ServiceError as error:
            return body.wrap_response(problem(error))
        ticket, expires = self._tokens.sign_ticket(claims, lifetime)
        document: schemas.Ticket = {"ticket": ticket, "expiresAt": datetime.fromtimestamp(expires, UTC).isoformat()}
        return JSONResponse(document, headers={"Cache-Control": "no-store"})

    def _read(self, body: bytes) -> tuple[Mapping[str, Any], int]:
        """Returns the claims and the lifetime in seconds; null is the same as none.

        Raises Malformed, UnknownField or InvalidField.
        """
        given = parse_object(body, 'Send a JSON object, such as `{"owner": "user-7"}`.', may_be_empty=True)
        if unknown := given.keys() - set(_NAMES):
            raise unknown_field(min(unknown), _NAMES)
        values = {name: value for name, value in given.items() if value is not None}
        lifetime = _read_number("expiresIn", values.pop("expiresIn", LIFETIME), MAX_LIFETIME)
        claims = {name: read_field(name, value) for name, value in values.items() if name in FIELDS}
        if not self._can_open_private:
            refuse_private(claims)
        if "maxBytes" in values:
            claims["maxBytes"] = _read_number("maxBytes", values["maxBytes"], self._max_bytes)
        return claims, lifetime


def _read_number(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidField(f"`{name}` must be a whole number from 1 to {most}.")
    return value
