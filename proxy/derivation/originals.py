"""An original as a file that a render process can open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio

from proxy.errors import UnknownUpload
from proxy.keys import original_key
from proxy.model import UploadId
from proxy.storage.base import ObjectNotFound, ObjectStore


@asynccontextmanager
async def original_file(store: ObjectStore, upload_id: UploadId, folder: Path) -> AsyncIterator[Path]:
    """A copy in `folder` for as long as the block runs. Raises UnknownUpload."""
    path = anyio.Path(folder / f"original-{uuid4().hex}")
    await path.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            await store.download(original_key(upload_id), Path(path))
        except ObjectNotFound:
            raise UnknownUpload("No picture was uploaded under this id, or it was deleted.") from None
        yield Path(path)
    finally:
        await path.unlink(missing_ok=True)
