"""Changes the focus of an upload: in its original's metadata first, then in everything that follows from it."""

from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdn
from ingest.installation import Installation
from ingest.jobs.queue.warm_up_queue import WarmUpQueue, try_to_publish
from ingest.jobs.warm_up import waiting_variants
from ingest.offered_sizes import standard_variants
from ingest.records import Job, Upload
from proxy.errors import UnknownUpload
from proxy.keys import original_key
from proxy.model import Focus, Sizes, UploadId
from proxy.storage.object_store import ObjectInfo, ObjectNotFound, ObjectStore
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.originals import focus_of, metadata_with_focus
from proxy.variants.variant_service import VariantService

_MAX_RECORDS = 10  # as many calls must change one focus at the same moment


class FocusService:
    """Changes the focus of uploads."""

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
    ) -> None:
        self._store = store
        self._repository = repository
        self._installation = installation
        self._queue = queue
        self._cdn = cdn
        self._variant_service = variant_service
        self._sizes = sizes

    async def change(self, upload_id: UploadId, focus: Focus | None) -> tuple[Upload, Job]:
        """Returns the upload with its new focus (None: the centre), and its job, which warms it up again.

        Raises UnknownUpload or Unavailable. The database is last: if a step fails, another call finishes the work. If
        the upload has this focus everywhere, nothing is done.
        """
        await self._installation.verify()
        upload, job = await self._repository.find(upload_id)
        original = await self._head(upload_id)
        if focus_of(original) == upload.focus == focus:
            return upload, job
        try:
            await self._store.set_metadata(
                original_key(upload_id), metadata_with_focus(original, focus, upload.created_at)
            )
        except ObjectNotFound:
            raise _unknown() from None
        await self._remove_if_deleted(upload_id)
        await self._withdraw(upload_id)
        await self._record(upload, focus)
        await try_to_publish(self._queue, upload_id)
        return await self._repository.find(upload_id)

    async def _remove_if_deleted(self, upload_id: UploadId) -> None:
        """Raises UnknownUpload if the upload was deleted meanwhile: its metadata may have been written after that.

        The original then goes again, but only if somebody is known to have deleted the upload. Else its row may be
        missing for another reason, such as an older backup: `darkroom gc` and `readopt` decide. A deletion that has not
        removed the row yet looks for the original afterwards.
        """
        try:
            await self._repository.find(upload_id)
        except UnknownUpload:
            if self._variant_service.was_deleted(upload_id):
                await self._variant_service.delete_upload(upload_id)
                await self._cdn.invalidate([upload_tag(upload_id)])
            raise

    async def _withdraw(self, upload_id: UploadId) -> None:
        await self._variant_service.withdraw_variants(upload_id)
        await self._cdn.invalidate([upload_tag(upload_id)])

    async def _record(self, upload: Upload, focus: Focus | None) -> None:
        """Records the focus. Of calls at the same moment, the one whose focus the original has in the end counts."""
        standard = standard_variants(self._sizes, upload.width, upload.height, upload.alpha)
        variants = waiting_variants(upload.upload_id, standard)
        for _ in range(_MAX_RECORDS):
            await self._repository.change_focus(upload.upload_id, focus, variants)
            stored = focus_of(await self._head(upload.upload_id))
            if stored == focus:
                return
            focus = stored
            await self._withdraw(upload.upload_id)  # the other call may have failed before it did

    async def _head(self, upload_id: UploadId) -> ObjectInfo:
        try:
            return await self._store.head(original_key(upload_id))
        except ObjectNotFound:
            raise _unknown() from None


def _unknown() -> UnknownUpload:
    return UnknownUpload("There is no original under this id, or it was deleted.")
