"""Changes the focus and the visibility of uploads: in the original's metadata first."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdn
from ingest.ingest_errors import InProgress
from ingest.installation import Installation
from ingest.jobs.queue.warm_up_queue import WarmUpQueue, try_to_publish
from ingest.jobs.warm_up import waiting_variants
from ingest.offered_sizes import standard_variants_of
from ingest.records import Job, Upload
from proxy.errors import UnknownUpload
from proxy.keys import original_key
from proxy.model import Focus, Sizes, UploadId, Visibility
from proxy.storage.object_store import ObjectInfo, ObjectNotFound, ObjectStore
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.leases.lease_store import LeaseStore
from proxy.variants.originals import changed_metadata, focus_of, head_original, visibility_of
from proxy.variants.variant_service import VariantService

_MAX_WRITES = 10  # reached only if that many calls change one upload at the same time, without leases
_LEASE_TIMEOUT = 30.0  # seconds; a change takes two, with CloudFront four, with nginx (EDGE_URLS) six


@dataclass(frozen=True, slots=True)
class Presentation:
    """What a change of an upload's presentation sets. `focus`: None is the centre."""

    focus: Focus | None
    visibility: Visibility


_FIELDS = tuple(each.name for each in fields(Presentation))


class PresentationService:
    """Changes the focus and the visibility of uploads."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        repository: JobRepository,
        installation: Installation,
        queue: WarmUpQueue,
        cdn: Cdn,
        variant_service: VariantService,
        sizes: Sizes,
        leases: LeaseStore,
    ) -> None:
        self._store = store
        self._repository = repository
        self._installation = installation
        self._queue = queue
        self._cdn = cdn
        self._variant_service = variant_service
        self._sizes = sizes
        self._leases = leases

    async def change(self, upload_id: UploadId, changes: Mapping[str, Any]) -> tuple[Upload, Job]:
        """Changes the fields of `Presentation` that are in `changes`, if any. Returns the upload and its job.

        Raises UnknownUpload, Unavailable, or InProgress if other calls keep changing the upload. The database is last:
        if a step fails, another call finishes the work. If the upload has these values everywhere, nothing is done.
        """
        ours = {name: changes[name] for name in _FIELDS if name in changes}
        if not ours:
            return await self._repository.find(upload_id)
        await self._installation.verify()
        async with self._lease(upload_id):
            return await self._change(upload_id, ours)

    @asynccontextmanager
    async def _lease(self, upload_id: UploadId) -> AsyncIterator[None]:
        """Holds the upload's lease for the block, so that concurrent calls do not undo each other's metadata."""
        async with AsyncExitStack() as lease:
            try:
                async with asyncio.timeout(_LEASE_TIMEOUT):
                    await lease.enter_async_context(self._leases.hold(original_key(upload_id)))
            except TimeoutError:
                raise _in_progress() from None
            yield

    async def _change(self, upload_id: UploadId, changes: Mapping[str, Any]) -> tuple[Upload, Job]:
        """Makes the changes, and ends when original and database agree.

        Without Redis, machines have no common lease, so the metadata may have been written between reading and writing
        it here. Hence the database gets only what this call changes, and an upload that either side calls private stays
        private, unless this call says otherwise.
        """
        upload, job = await self._repository.find(upload_id)
        for writes in range(_MAX_WRITES):
            original = await head_original(self._store, upload_id)
            found = Presentation(focus_of(original), visibility_of(original))
            known = Presentation(upload.focus, upload.visibility)
            is_private = Visibility.PRIVATE in (found.visibility, known.visibility)
            visibility = Visibility.PRIVATE if is_private else Visibility.PUBLIC
            wanted = replace(found, **{"visibility": visibility, **changes})
            visibility_changes = "visibility" in changes or found.visibility is not known.visibility
            # A call that names the visibility removes what an earlier one may have left behind.
            if wanted == found == known and (writes or "visibility" not in changes):
                if writes:
                    await try_to_publish(self._queue, upload_id)
                return upload, job
            if wanted != found:
                await self._write(upload, original, wanted)
            await self._variant_service.withdraw_variants(upload_id)
            is_withdrawn = visibility_changes and wanted.visibility is Visibility.PRIVATE
            await self._cdn.invalidate([upload_tag(upload_id)], withdrawn=is_withdrawn)
            upload, job = await self._record(upload, wanted, changes)
        raise _in_progress()

    async def _write(self, upload: Upload, original: ObjectInfo, wanted: Presentation) -> None:
        metadata = changed_metadata(original, wanted.focus, wanted.visibility, upload.created_at)
        try:
            await self._store.set_metadata(original_key(upload.upload_id), metadata)
        except ObjectNotFound:
            raise UnknownUpload("The upload was deleted meanwhile.") from None
        await self._remove_if_deleted(upload.upload_id)

    async def _remove_if_deleted(self, upload_id: UploadId) -> None:
        """Raises UnknownUpload if the upload was deleted meanwhile: its metadata may have been written after that.

        The original is then deleted again, but only if this process knows of the deletion. Otherwise the row may be
        missing for another reason, such as an older backup: `darkroom gc` and `readopt` decide. A deletion that has not
        removed the row yet looks for the original afterwards.
        """
        try:
            await self._repository.find(upload_id)
        except UnknownUpload:
            if self._variant_service.was_deleted(upload_id):
                await self._variant_service.delete_upload(upload_id)
                await self._cdn.invalidate([upload_tag(upload_id)], withdrawn=True)
            raise

    async def _record(self, upload: Upload, wanted: Presentation, changes: Mapping[str, Any]) -> tuple[Upload, Job]:
        standard = standard_variants_of(self._sizes, replace(upload, visibility=wanted.visibility))
        variants = waiting_variants(upload.upload_id, standard)
        changed = {name for name in _FIELDS if name in changes or getattr(wanted, name) != getattr(upload, name)}
        values = {name: getattr(wanted, name) for name in changed}
        await self._repository.change_presentation(upload.upload_id, values, variants)
        return await self._repository.find(upload.upload_id)


def _in_progress() -> InProgress:
    return InProgress("Another call changes this upload at the same moment. Try again.")
