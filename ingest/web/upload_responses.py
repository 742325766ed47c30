"""Responses to uploads: a page for a browser that posts a form, otherwise JSON."""

from typing import cast

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from ingest.records import Upload
from ingest.serialization.schemas import Created
from ingest.serialization.serializers import Serializer
from ingest.uploads.upload_tokens import UploadTokens
from ingest.web.form_pages import FormPages
from proxy.errors import ServiceError
from proxy.web.list_headers import join_lines
from proxy.web.negotiation import prefers_page
from proxy.web.problems import problem

UPLOAD_PATH = "/images/upload"


class UploadResponses:
    """Chooses between page and JSON by the request's `Accept` header."""

    def __init__(self, serializer: Serializer, pages: FormPages, tokens: UploadTokens | None) -> None:
        """`tokens`: signs receipts; None without `UPLOAD_KEYS`."""
        self._serializer = serializer
        self._tokens = tokens
        self._pages = pages

    def accepted(self, headers: Headers, upload: Upload, *, repeated: bool) -> Response:
        """Returns the 201 response. A `repeated` upload differs only in the `Idempotent-Replayed` header."""
        document = cast("Created", self._serializer.created(upload))
        if self._tokens:
            document["receipt"] = self._tokens.sign_receipt(upload)
        if prefers_page(join_lines(headers, "accept")):
            response = self._pages.uploaded(document)
        else:
            response = JSONResponse(document, 201, {"Cache-Control": "no-store"})
        response.headers["Vary"] = "Accept"
        response.headers["Location"] = self._serializer.upload_url(upload.upload_id)
        if repeated:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    def refused(self, headers: Headers, error: ServiceError) -> Response:
        """Returns the response to a refused upload: a page or a problem document."""
        page = prefers_page(join_lines(headers, "accept"))
        response = self._pages.refused(error) if page else problem(error)
        response.headers["Vary"] = "Accept"
        return response

    def no_access(self, scope: Scope, error: ServiceError) -> Response:
        """Returns the response to a request for any path that middleware rejects before its route."""
        return self.refused(Headers(scope=scope), error) if scope["path"] == UPLOAD_PATH else problem(error)
