"""`GET /images/{uploadId}/original`: the original for its owner, as a download."""

from contextlib import AsyncExitStack
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, RedirectResponse, Response

from ingest.records import Upload
from proxy.keys import original_key
from proxy.storage.object_store import ObjectStore
from proxy.variants.originals import original_file

_URL_SECONDS = 300
# Whatever the file is, no browser renders it as a page of this site.
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class OriginalDownloads:
    """`temporary`: folder for the copies of originals that are being sent."""

    def __init__(self, store: ObjectStore, temporary: Path) -> None:
        self._store = store
        self._temporary = temporary

    async def respond(self, upload: Upload) -> Response:
        """302 to a URL of the object store, which is valid for five minutes; from the disk, the file itself.

        Raises UnknownUpload, OriginalDamaged or Unavailable.
        """
        name = f"{upload.upload_id}.{upload.format}"
        if url := await self._store.temporary_url(original_key(upload.upload_id), _URL_SECONDS, name):
            return RedirectResponse(url, 302, _HEADERS)
        async with AsyncExitStack() as copy:
            path, info = await copy.enter_async_context(original_file(self._store, upload.upload_id, self._temporary))
            remove = BackgroundTask(copy.pop_all().aclose)
        return FileResponse(path, 200, _HEADERS, info.content_type, remove, name)
