"""Downloads an original to a file that a render process can open."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.to_thread

from proxy.errors import OriginalDamaged, StoreUnavailable, Unavailable, UnknownUpload
from proxy.keys import original_key
from proxy.model import UploadId
from proxy.storage.object_store import DAMAGED, ObjectNotFound, ObjectStore

DIGEST = "sha256"
"""Metadata key of an original's SHA-256, in hexadecimal. Variants of a damaged original would be cached for a year."""

_DAMAGED = "The stored original differs from what was uploaded. Restore it, or upload the picture again."


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Blocks: 6 ms for 10 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@asynccontextmanager
async def original_file(store: ObjectStore, upload_id: UploadId, folder: Path) -> AsyncIterator[Path]:
    """A copy of the original in `folder`, removed on exit. Raises UnknownUpload, OriginalDamaged, Unavailable."""
    path = folder / f"original-{uuid4().hex}"
    download = asyncio.create_task(_download(store, upload_id, path))
    try:
        # A cancelled caller does not stop the download's thread, which would create the file after its removal.
        await asyncio.shield(download)
        yield path
    finally:
        if download.done():
            _remove(path)
        else:
            download.add_done_callback(lambda done: _remove(path) if done.exception() is None else None)


async def _download(store: ObjectStore, upload_id: UploadId, path: Path) -> None:
    try:
        await anyio.Path(path.parent).mkdir(parents=True, exist_ok=True)
        info = await store.download(original_key(upload_id), path)
        if DIGEST in info.metadata and info.metadata[DIGEST] != await anyio.to_thread.run_sync(digest, path):
            _remove(path)
            raise OriginalDamaged(_DAMAGED)
    except ObjectNotFound:
        raise UnknownUpload("No picture was uploaded under this id, or it was deleted.") from None
    except StoreUnavailable as error:
        if error.reason != DAMAGED:
            raise
        raise OriginalDamaged(_DAMAGED) from error
    except OSError as error:
        raise Unavailable("Temporary files cannot be written: the disk may be full. Try again later.") from error


def _remove(path: Path) -> None:
    """Runs on the event loop: one system call on a local disk is not worth a thread."""
    path.unlink(missing_ok=True)
