"""An original as a file that a render process can open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio

from proxy.errors import Unavailable, UnknownUpload
from proxy.keys import original_key
from proxy.model import UploadId
from proxy.storage.base import ObjectInfo, ObjectNotFound, ObjectStore


@asynccontextmanager
async def original_file(store: ObjectStore, upload_id: UploadId, folder: Path) -> AsyncIterator[Path]:
    """A copy in `folder` for as long as the block runs. Raises UnknownUpload, Unavailable."""
    path = folder / f"original-{uuid4().hex}"
    download = asyncio.create_task(_download(store, upload_id, path))
    try:
        # A download goes on in its thread when its caller is cancelled, and would write the file after its removal.
        await asyncio.shield(download)
        yield path
    finally:
        if download.done():
            _remove(path)
        else:
            download.add_done_callback(lambda done: _remove(path) if done.exception() is None else None)


async def _download(store: ObjectStore, upload_id: UploadId, path: Path) -> ObjectInfo:
    try:
        await anyio.Path(path.parent).mkdir(parents=True, exist_ok=True)
        return await store.download(original_key(upload_id), path)
    except ObjectNotFound:
        raise UnknownUpload("No picture was uploaded under this id, or it was deleted.") from None
    except OSError as error:
        raise Unavailable("There is no room for temporary files just now. Try again later.") from error


def _remove(path: Path) -> None:
    """One system call on a local disk: not worth a thread."""
    path.unlink(missing_ok=True)
