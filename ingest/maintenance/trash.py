"""The trash: originals without rows, kept for TRASH_DAYS under `trash/`, with all their metadata.

Every step may be the last one before a crash, and another process may write or delete rows at any time. So an original
is deleted only after its copy was verified and its row was looked for again, and a copy in the trash that may be the
only one is deleted only when it has expired.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from proxy.errors import StoreUnavailable
from proxy.keys import original_key, trash_key
from proxy.model import UploadId
from proxy.storage.object_store import ObjectInfo, ObjectNotFound, ObjectStore, exists, look_up

IsWanted = Callable[[UploadId], Awaitable[bool]]
"""Whether the database has a row that makes the original worth keeping where it is."""


class Trash:
    """Moves originals to the trash and back. Every method raises StoreUnavailable."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def move(self, upload_id: UploadId, *, before: datetime, is_wanted: IsWanted) -> bool:
        """Moves an original that is older than `before` to the trash. Returns False if it stayed or is gone.

        `is_wanted`: whether a row needs the original; asked before and after each step.
        """
        source = original_key(upload_id)
        try:
            original = await self._store.head(source)
            if original.last_modified >= before or await is_wanted(upload_id):
                return False
            await self._copy(original, trash_key(upload_id))
            # A second look: the row may have been written during the copy. The copy stays until it expires.
            if await is_wanted(upload_id) or await self._store.head(source) != original:
                return False
        except ObjectNotFound:  # deleted meanwhile
            return False
        await self._store.delete(source)
        if await is_wanted(upload_id):  # written in the last moment
            await self.put_back(upload_id)
            return False
        return True

    async def put_back(self, upload_id: UploadId) -> bool:
        """Copies an original back from the trash, unless it is in place. Returns False if neither place has it."""
        try:
            trashed = await self._store.head(trash_key(upload_id))
        except ObjectNotFound:
            return await exists(self._store, original_key(upload_id))
        if not await exists(self._store, original_key(upload_id)):
            await self._copy(trashed, original_key(upload_id))
        return True

    async def discard_if_restored(self, upload_id: UploadId) -> None:
        """Deletes the upload's copy in the trash if its original is younger, because the original was put back.

        The copy stays until it expires if the original is older: another process may be moving it to the trash.
        """
        original = await look_up(self._store, original_key(upload_id))
        trashed = await look_up(self._store, trash_key(upload_id))
        if original and trashed and original.last_modified >= trashed.last_modified:
            await self._store.delete(trash_key(upload_id))

    async def discard(self, upload_id: UploadId) -> None:
        """Deletes the upload's copy in the trash, if any."""
        await self._store.delete(trash_key(upload_id))

    async def _copy(self, source: ObjectInfo, target: str) -> None:
        """Copies and verifies. Raises ObjectNotFound if the source is gone."""
        await self._store.copy(source.key, target)
        copied = await self._store.head(target)
        if replace(copied, key=source.key, last_modified=source.last_modified) != source:
            raise StoreUnavailable(f"The copy of {source.key} differs from it. Check the object store.")
