"""Ingest's HTTP routes: upload, show, change, status, events, list, delete."""

from collections.abc import AsyncIterator
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.catalog.cursors import InvalidCursor
from ingest.catalog.upload_reader import UploadReader
from ingest.idempotency_key import HEADER, IdempotencyKey, parse_idempotency_key
from ingest.ingest_errors import Malformed
from ingest.serialization.serializers import Serializer
from ingest.uploads.fields_service import FieldsService
from ingest.uploads.idempotent_uploads import IdempotentUploads
from ingest.uploads.multipart import MAX_OTHER_BYTES, file_field, too_large
from ingest.uploads.presentation_service import PresentationService
from ingest.uploads.upload_fields import UploadFields, parse_changes, refuse_private
from ingest.uploads.upload_service import UploadService
from ingest.uploads.upload_tokens import Ticket
from ingest.web.deletion_routes import DeletionRoutes
from ingest.web.event_streams import EventStream, EventStreams
from ingest.web.original_downloads import OriginalDownloads
from ingest.web.query_parameters import read_filter, read_limit, read_query
from ingest.web.request_bodies import TimedBody, longest_upload, read_small_body
from ingest.web.ticket_access import ticket_of
from ingest.web.ticket_routes import TICKETS_PATH, TicketRoutes
from ingest.web.token_routes import TOKENS_PATH, TokenRoutes
from ingest.web.upload_responses import UPLOAD_PATH, UploadResponses
from proxy.errors import ServiceError, UnknownUpload
from proxy.model import UploadId, parse_upload_id
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.web.middleware.authentication import caller
from proxy.web.middleware.observability import note
from proxy.web.problems import problem

FIELD = "image"
_NO_STORE = {"Cache-Control": "no-store"}
_STORING_SECONDS = 30


class UploadRoutes:
    """One method for each route. `can_open_private`: whether uploads may be private."""

    def __init__(
        self,
        settings: Settings,
        *,
        uploads: UploadService,
        presentations: PresentationService,
        fields: FieldsService,
        idempotent_uploads: IdempotentUploads,
        repository: UploadReader,
        originals: OriginalDownloads,
        serializer: Serializer,
        responses: UploadResponses,
        tickets: TicketRoutes,
        tokens: TokenRoutes,
        deletions: DeletionRoutes,
        can_open_private: bool,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._max_bytes = settings.max_upload_mb << 20
        self._total = settings.upload_timeout
        self._stall = settings.upload_stall_timeout
        self._uploads = uploads
        self._presentations = presentations
        self._fields = fields
        self._idempotent_uploads = idempotent_uploads
        self._repository = repository
        self._originals = originals
        self._serializer = serializer
        self._responses = responses
        self._tickets = tickets
        self._tokens = tokens
        self._deletions = deletions
        self._can_open_private = can_open_private
        self._streams = EventStreams(repository, serializer, metrics)
        self._outcomes = metrics.uploads

    def routes(self) -> list[Route]:
        return [
            Route(UPLOAD_PATH, self.upload, methods=["POST"]),
            # Otherwise these paths would match as an upload id.
            Route(UPLOAD_PATH, _post_only, methods=["GET", "PATCH", "DELETE"]),
            Route(TICKETS_PATH, self._tickets.create, methods=["POST"]),
            Route(TICKETS_PATH, _post_only, methods=["GET", "PATCH", "DELETE"]),
            Route(TOKENS_PATH, self._tokens.show, methods=["GET"]),
            Route(TOKENS_PATH, _get_only, methods=["POST", "PATCH", "DELETE"]),
            Route("/images", self.all_uploads, methods=["GET", "DELETE"]),
            Route("/images/deletions/{deletion_id}", self._deletions.show, methods=["GET"]),
            Route("/images/{upload_id}", self.one_upload, methods=["GET", "PATCH", "DELETE"]),
            Route("/images/{upload_id}/original", self.original, methods=["GET"]),
            Route("/images/{upload_id}/status", self.status, methods=["GET"]),
            Route("/images/{upload_id}/events", self.events, methods=["GET"]),
        ]

    async def upload(self, request: Request) -> Response:
        """Receives an upload. Counts bytes as they arrive, because Content-Length may be wrong."""
        body = TimedBody(request, total=self._total, stall=self._stall)
        try:
            read_query(request, ())
            ticket = ticket_of(request.scope)
            max_bytes = min(self._max_bytes, (ticket and ticket.max_bytes) or self._max_bytes)
            key = self._check_head(request, ticket, max_bytes)
            content_type = request.headers.get("content-type", "")
            fields = UploadFields.of_ticket(ticket.fields) if ticket else UploadFields()
            chunks = self._check_visibility(file_field(aiter(body), content_type, FIELD, max_bytes, fields), fields)
            upload, repeated = await self._idempotent_uploads.receive(chunks, key, fields)
        except ServiceError as error:
            note(request.scope, code=error.code)
            return body.wrap_response(self._responses.refused(request.headers, error))
        note(request.scope, upload=upload.upload_id)
        return self._responses.accepted(request.headers, upload, repeated=repeated)

    async def _check_visibility(self, chunks: AsyncIterator[bytes], fields: UploadFields) -> AsyncIterator[bytes]:
        """Passes the file on. Raises InvalidField at its end, when all fields are known."""
        async for chunk in chunks:
            yield chunk
        if not self._can_open_private:
            refuse_private(fields.values)

    def _check_head(self, request: Request, ticket: Ticket | None, max_bytes: int) -> IdempotencyKey | None:
        """Checks the headers before the body is read. Returns the idempotency key. Raises TooLarge or Malformed."""
        try:
            if _content_length(request) > max_bytes + MAX_OTHER_BYTES:
                raise too_large(max_bytes)
            if ticket:
                return ticket.idempotency_key(self._attempt_timeout)
            values = request.headers.getlist(HEADER)
            return parse_idempotency_key(values, caller(request.scope).encode(), self._attempt_timeout)
        except ServiceError as error:
            self._outcomes.labels(error.code).inc()
            raise

    async def all_uploads(self, request: Request) -> Response:
        return await (self._deletions.create if request.method == "DELETE" else self.newest)(request)

    async def one_upload(self, request: Request) -> Response:
        """Serves all methods of `/images/{uploadId}` by one route, so that `Allow` of a 405 names them all."""
        calls = {"DELETE": self.delete, "PATCH": self.change}
        return await calls.get(request.method, self.show)(request)

    async def show(self, request: Request) -> Response:
        upload, job = await self._repository.find(_upload_id(request))
        return JSONResponse(self._serializer.upload(upload, job), headers=_NO_STORE)

    async def original(self, request: Request) -> Response:
        upload, _ = await self._repository.find(_upload_id(request))
        return await self._originals.respond(request.method, upload)

    async def status(self, request: Request) -> Response:
        upload, job = await self._repository.find(_upload_id(request))
        return JSONResponse(self._serializer.status(upload, job), headers=_NO_STORE)

    async def events(self, request: Request) -> EventStream:
        known = await self._repository.find(_upload_id(request))  # respond with 404 before the stream begins
        return self._streams.stream(known, _NO_STORE)

    async def newest(self, request: Request) -> Response:
        values = read_query(request, ("limit", "cursor", "owner", "externalId", "ids"))
        wanted = read_filter(values)
        limit = read_limit(values, wanted)
        try:
            page = await self._repository.newest(limit, values.get("cursor") or None, wanted)
        except InvalidCursor:
            raise Malformed("`cursor` must be the `cursor` of an earlier page.") from None
        return JSONResponse(self._serializer.page(page), headers=_NO_STORE)

    async def change(self, request: Request) -> Response:
        upload_id = _upload_id(request)
        body = TimedBody(request, total=self._total, stall=self._stall)
        try:
            changes = parse_changes(await read_small_body(body))
            if not self._can_open_private:
                refuse_private(changes)
        except ServiceError as error:
            return body.wrap_response(problem(error))
        await self._fields.change(upload_id, changes)
        upload, job = await self._presentations.change(upload_id, changes)
        return JSONResponse(self._serializer.upload(upload, job), headers=_NO_STORE)

    async def delete(self, request: Request) -> Response:
        await self._uploads.delete(_upload_id(request))
        return Response(status_code=204, headers=_NO_STORE)

    @property
    def _attempt_timeout(self) -> timedelta:
        """Returns the time after which an unfinished attempt counts as dead: to arrive, be inspected and be stored."""
        seconds = longest_upload(self._max_bytes, self._total) + 2 * self._settings.render_timeout + _STORING_SECONDS
        return timedelta(seconds=seconds)


async def _post_only(_request: Request) -> Response:
    raise HTTPException(405, headers={"Allow": "POST"})


async def _get_only(_request: Request) -> Response:
    raise HTTPException(405, headers={"Allow": "GET, HEAD"})


def _upload_id(request: Request) -> UploadId:
    """Returns the id in the path. Raises UnknownUpload, or UnknownField for any query parameter."""
    upload_id = parse_upload_id(request.path_params["upload_id"])
    if upload_id is None:
        raise UnknownUpload("An upload id must be a lower-case UUID.")
    note(request.scope, upload=upload_id)
    read_query(request, ())
    return upload_id


def _content_length(request: Request) -> int:
    try:
        return int(request.headers.get("content-length", "0"))
    except ValueError:
        return 0
