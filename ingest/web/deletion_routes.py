"""The calls that delete all uploads of an owner, and that show the progress of this."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.catalog.owner_deletions import OwnerDeletions
from ingest.ingest_errors import Malformed
from ingest.serialization.serializers import Serializer
from ingest.uploads.field_values import read_owner
from ingest.uploads.owner_deletion_worker import OwnerDeletionWorker
from ingest.web.query_parameters import read_query
from proxy.errors import NotFound
from proxy.model import parse_upload_id

_NO_STORE = {"Cache-Control": "no-store"}


class DeletionRoutes:
    """`DELETE /images?owner=` and `GET /images/deletions/{deletionId}`."""

    def __init__(self, deletions: OwnerDeletions, worker: OwnerDeletionWorker, serializer: Serializer) -> None:
        self._deletions = deletions
        self._worker = worker
        self._serializer = serializer

    async def create(self, request: Request) -> Response:
        values = read_query(request, ("owner",))
        if "owner" not in values:
            raise Malformed("Say whose uploads to delete: `DELETE /images?owner=OWNER`.")
        deletion = await self._deletions.create(read_owner(values["owner"]))
        self._worker.wake()
        document = self._serializer.deletion(deletion)
        return JSONResponse(document, 202, _NO_STORE | {"Location": document["statusUrl"]})

    async def show(self, request: Request) -> Response:
        read_query(request, ())
        deletion_id = parse_upload_id(request.path_params["deletion_id"])  # they have the same form
        deletion = deletion_id and await self._deletions.find(deletion_id)
        if not deletion:
            raise NotFound("There is no deletion under this id, or it ended more than a week ago.")
        return JSONResponse(self._serializer.deletion(deletion), headers=_NO_STORE)
