"""Carries out deletions of all uploads of an owner. Runs in every server with ingest's role.

Not in workers: their permissions in the object store do not allow them to delete originals (deploy/cloudfront.yaml).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

import structlog

from ingest.catalog.cursors import encode_cursor
from ingest.catalog.owner_deletions import OwnerDeletions
from ingest.catalog.repository import JobRepository
from ingest.catalog.upload_filter import UploadFilter
from ingest.jobs.heartbeats import sending_heartbeats
from ingest.records import JobNotClaimable, JobStatus, OwnerDeletion
from ingest.uploads.upload_service import UploadService
from proxy.errors import StoreUnavailable, Unavailable
from proxy.model import UploadId
from proxy.retries import Attempts

log = structlog.get_logger()

BATCH = 50
"""Uploads that are deleted concurrently, with one invalidation of the CDN."""
_BEFORE_ALL = UploadId("00000000-0000-0000-0000-000000000000")
"""The lowest id. With the time of a deletion, it makes the cursor after which the list has only older uploads."""
_POLL_SECONDS = 5.0
_RETRIES = (1.0, 5.0)  # seconds before another attempt at uploads that an outage kept


class OwnerDeletionWorker:
    """Carries out one deletion at a time. Several processes may run one; if a worker dies, another takes over."""

    def __init__(self, deletions: OwnerDeletions, repository: JobRepository, uploads: UploadService) -> None:
        self._deletions = deletions
        self._repository = repository
        self._uploads = uploads
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Makes `run` look for a deletion at once."""
        self._wake.set()

    async def run(self) -> None:
        """Carries out deletions until cancelled."""
        while True:
            self._wake.clear()
            try:
                while await self.run_next():
                    pass
            except Unavailable as error:
                log.warning("deletions by owner interrupted", error=str(error), retry_in=_POLL_SECONDS)
            except Exception:  # this loop must not end
                log.exception("unhandled error in a deletion by owner")
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()

    async def run_next(self) -> bool:
        """Carries out one deletion. Returns False if none waits. Raises CatalogUnavailable or StoreUnavailable.

        After an exception, or if the process dies, another run continues with the uploads that are left.
        """
        deletion = await self._deletions.claim(uuid4().hex)
        if deletion is None:
            return False
        with suppress(JobNotClaimable):  # this process stood still for so long that another one took over
            async with sending_heartbeats(lambda: self._deletions.record(deletion)):
                await self._delete_all(deletion)
        return True

    async def _delete_all(self, deletion: OwnerDeletion) -> None:
        deleted, failed = deletion.deleted, 0
        cursor: str | None = encode_cursor(deletion.created_at, _BEFORE_ALL)
        while cursor:
            page = await self._repository.newest(BATCH, cursor, UploadFilter(owner=deletion.owner))
            cursor = page.cursor
            ids = [upload.upload_id for upload, _ in page.uploads]
            gone, left = await self._delete(deletion.owner, ids)
            deleted, failed = deleted + gone, failed + left
            await self._deletions.record(deletion, deleted=deleted, failed=failed)
        error = f"{failed} uploads could not be deleted. Call it again." if failed else None
        to = JobStatus.FAILED if failed else JobStatus.COMPLETE
        await self._deletions.record(deletion, status=to, error=error)
        log.info("deletion by owner ended", deletion=deletion.deletion_id, deleted=deleted, failed=failed)

    async def _delete(self, owner: str, ids: Sequence[UploadId]) -> tuple[int, int]:
        """Deletes uploads. Returns how many it deleted, and how many it could not delete, after some attempts."""
        deleted = 0
        async for retry_in in Attempts(_RETRIES):
            failures = await self._uploads.delete_many(ids)
            deleted += len(ids) - len(failures)
            for upload_id, error in failures.items():
                log.warning("upload not deleted", upload=upload_id, error=repr(error), retry_in=retry_in)
            try:
                ids = await self._still_wanted(owner, list(failures))
            except StoreUnavailable:
                return deleted, len(failures)
            if not any(isinstance(error, Unavailable) for error in failures.values()):
                break
        return deleted, len(ids)

    async def _still_wanted(self, owner: str, ids: Sequence[UploadId]) -> list[UploadId]:
        """Returns the uploads that must still be deleted: those of the owner, and those whose original is gone.

        The owner may have changed meanwhile. But without an original, the row would stay if the deletion ended here.
        """
        found = await self._repository.find_many(ids) if ids else {}
        return [
            upload_id
            for upload_id, (upload, _) in found.items()
            if upload.owner == owner or not await self._uploads.has_original(upload_id)
        ]
