"""Accepts uploads with a ticket instead of an API key, also from allowed origins. A ticket opens no other call."""

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.ingest_errors import CrossSite
from ingest.uploads.upload_tokens import Ticket, UploadTokens, is_token
from ingest.web.cross_site import is_cross_site
from ingest.web.request_bodies import EarlyResponse
from ingest.web.upload_responses import UPLOAD_PATH
from proxy.errors import ServiceError
from proxy.web.middleware.authentication import bearer_token
from proxy.web.middleware.observability import note

_TICKET = "darkroom.ticket"


class AcceptTickets:
    """Passes uploads with a valid ticket to `ticketed`, refuses those with an invalid one, passes the rest to `app`.

    Decides by the headers, before the body is read. `origins`: whose pages may send tickets. `refuse` makes the
    response to a refused upload.
    """

    def __init__(
        self,
        app: ASGIApp,
        ticketed: ASGIApp,
        tokens: UploadTokens,
        *,
        origins: Collection[str],
        public_url: str | None,
        refuse: Callable[[Scope, ServiceError], Response],
    ) -> None:
        self._app = app
        self._ticketed = ticketed
        self._tokens = tokens
        self._origins = frozenset(origins)
        self._public_host = urlsplit(public_url or "").netloc
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_upload = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == UPLOAD_PATH
        if not is_upload or not is_token(token := bearer_token(Headers(scope=scope))):
            await self._app(scope, receive, send)
            return
        try:
            scope[_TICKET] = ticket = self._tokens.verify_ticket(token.decode())
            self._check_origin(Headers(scope=scope))
        except ServiceError as error:
            note(scope, code=error.code)
            await EarlyResponse(self._refuse(scope, error), Headers(scope=scope))(scope, receive, send)
            return
        note(scope, ticket=ticket.jti)
        await self._ticketed(scope, receive, send)

    def _check_origin(self, headers: Headers) -> None:
        if is_cross_site(headers, self._public_host) and headers.get("origin") not in self._origins:
            raise CrossSite("A page of another site sent this ticket. Operators: add its origin to CORS_ORIGINS.")


def ticket_of(scope: Scope) -> Ticket | None:
    """Returns the verified ticket of a request; None without one."""
    ticket: Ticket | None = scope.get(_TICKET)
    return ticket
