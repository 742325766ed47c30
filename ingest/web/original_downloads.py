"""`GET /images/{uploadId}/original`: the original for its owner, as a download."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from ingest.records import Upload
from ingest.web.whole_file import WholeFile
from proxy.errors import Overloaded
from proxy.keys import original_key
from proxy.model import SourceFormat, UploadId
from proxy.storage.object_store import ObjectStore
from proxy.variants.originals import original_file

MAX_COPIES = 8
"""Originals that one process sends at the same moment: each is a temporary file of up to `MAX_UPLOAD_MB`."""
_RETRY_AFTER = 5  # seconds
_URL_SECONDS = 300
# Whatever the file is, no browser renders it as a page of this site.
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class OriginalDownloads:
    """Responds with originals. `temporary`: folder for the copies of those that are being sent."""

    def __init__(self, store: ObjectStore, temporary: Path) -> None:
        self._store = store
        self._temporary = temporary
        self._copies = 0

    async def respond(self, method: str, upload: Upload) -> Response:
        """Returns a 302 to a URL of the bucket, valid for five minutes; without a bucket, the whole file.

        HEAD is answered from the database, because such URLs are signed for GET alone. Raises StoreUnavailable; the
        returned response raises UnknownUpload, OriginalDamaged, Unavailable or Overloaded before it begins.
        """
        name = f"{upload.upload_id}.{upload.format}"
        headers = _HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
        media_type = SourceFormat(upload.format).media_type
        if method == "HEAD":
            return Response(None, 200, headers | {"Content-Length": f"{upload.original_size}"}, media_type)
        if url := await self._store.temporary_url(original_key(upload.upload_id), _URL_SECONDS, name):
            return RedirectResponse(url, 302, _HEADERS)
        return _Download(self._copy(upload.upload_id), headers, media_type)

    @asynccontextmanager
    async def _copy(self, upload_id: UploadId) -> AsyncIterator[Path]:
        if self._copies >= MAX_COPIES:
            reason = f"This server sends {MAX_COPIES} originals already. Try again later."
            raise Overloaded(reason, retry_after=_RETRY_AFTER)
        self._copies += 1
        try:
            async with original_file(self._store, upload_id, self._temporary) as (path, _):
                yield path
        finally:
            self._copies -= 1


class _Download(Response):
    """Sends the file that `copy` gives, always whole, and closes `copy` however that ends."""

    def __init__(self, copy: AbstractAsyncContextManager[Path], headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(None, 200, headers, media_type)
        self._copy = copy
        self._sent = headers

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._copy as path:
            stat = await anyio.Path(path).stat()
            response = WholeFile(path, 200, self._sent, self.media_type, stat_result=stat)
            for name in ("etag", "last-modified"):  # of the copy
                del response.headers[name]
            await response(scope, receive, send)
