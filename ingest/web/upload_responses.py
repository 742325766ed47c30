"""The answer to an upload: a page for a browser that posts a form, JSON for everyone else."""

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from ingest.records import Upload
from ingest.web.form_pages import FormPages
from ingest.web.serializers import Serializer
from proxy.errors import ServiceError
from proxy.web.negotiation import prefers_page
from proxy.web.problems import problem

UPLOAD_PATH = "/images/upload"


class UploadAnswers:
    """Goes by the request's `Accept`, and says so."""

    def __init__(self, documents: Serializer, pages: FormPages) -> None:
        self._documents = documents
        self._pages = pages

    def taken(self, headers: Headers, upload: Upload, *, repeated: bool) -> Response:
        """The same whether it was taken just now or `repeated`, but for a header that tells."""
        document = self._documents.created(upload)
        if prefers_page(headers.get("accept")):
            response = self._pages.uploaded(document)
        else:
            response = JSONResponse(document, 201, {"Cache-Control": "no-store"})
        response.headers["Vary"] = "Accept"
        response.headers["Location"] = f"/images/{upload.upload_id}"
        if repeated:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    def refused(self, headers: Headers, error: ServiceError) -> Response:
        page = prefers_page(headers.get("accept"))
        response = self._pages.refused(error) if page else problem(error)
        response.headers["Vary"] = "Accept"
        return response

    def without_key(self, scope: Scope, error: ServiceError) -> Response:
        """For any path."""
        return self.refused(Headers(scope=scope), error) if scope["path"] == UPLOAD_PATH else problem(error)
