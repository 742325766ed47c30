"""Finds and removes what crashes left behind. Safe while the service runs.

An upload creates, in this order: job row, temporary file, fields, original, image row. A crash between two steps leaves
a job row without image row, perhaps with fields and an original. A crash during a delete leaves variants, fields or
rows without original. The fields of an original in the trash stay until the original is deleted there. Everything
younger than `age` is left alone, because it may be in progress.

An original without rows may also mean that the database is not the right one, or an older backup of it. So originals
are moved to the trash and deleted there after `trash_age`. If there are too many, nothing is changed: `survey` counts
them before `find_uploads` lists them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import anyio
import anyio.to_thread

from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdn
from ingest.maintenance.garbage_survey import Survey
from ingest.maintenance.inventory import InventoryEntry, inventory
from ingest.maintenance.temporary_files import old_files, remove_file
from ingest.maintenance.trash import Trash
from proxy.keys import fields_key, original_key, trash_key, variants_prefix, variants_prefixes
from proxy.model import UploadId, Visibility
from proxy.storage.object_store import ObjectStore, exists, look_up
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.originals import visibility_of
from proxy.variants.variant_service import VariantService

MIN_AGE = timedelta(hours=1)
"""Far longer than any upload (`UPLOAD_TIMEOUT`) or derivation may take."""


class GarbageKind(StrEnum):
    """Kinds of garbage, by the parts of an upload that remain."""

    TEMPORARY = "temporary"
    """A temporary file that a killed process left, or an old file of an invalidation or of a derivation's failures."""
    INCOMPLETE_UPLOAD = "incomplete upload"
    """A job row without image row: the upload was never acknowledged. Its original, if any, goes to the trash."""
    MISSING_ORIGINAL = "missing original"
    """Rows without original: an interrupted delete."""
    IN_TRASH = "original in the trash"
    """Rows whose original is in the trash: another database was in use when it was moved. It is put back."""
    ORPHAN = "orphan"
    """An original without rows. It goes to the trash, its variants are removed."""
    VARIANTS = "variants without original"
    MISPLACED = "variants at the path of another visibility"
    """A change of the visibility was interrupted, or a derivation during one. All variants are removed."""
    FIELDS = "fields without original"
    EXPIRED = "expired in the trash"
    """A copy in the trash that is older than `trash_age`."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """One finding. `name` is a path for TEMPORARY, otherwise an upload id."""

    kind: GarbageKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


class Collector:
    """Finds and removes garbage.

    `age`: younger garbage is left alone. `trash_age`: older originals in the trash are deleted.
    """

    def __init__(
        self,
        store: ObjectStore,
        repository: JobRepository,
        variant_service: VariantService,
        cdn: Cdn,
        *,
        folders: Sequence[Path],
        age: timedelta,
        trash_age: timedelta,
        on_upload: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_upload`: called for each upload that `survey` or `find_uploads` examines."""
        self._store = store
        self._repository = repository
        self._variant_service = variant_service
        self._cdn = cdn
        self._trash = Trash(store)
        self.folders = folders
        self._on_upload = on_upload
        self._before = datetime.now(UTC) - age
        self._expired_before = datetime.now(UTC) - trash_age

    async def survey(self) -> Survey:
        """Counts uploads and garbage, in constant memory. Raises StoreUnavailable or CatalogUnavailable."""
        survey = Survey()
        async for entry in inventory(self._store, self._repository):
            self._on_upload()
            survey.rows += entry.row is not None
            survey.accepted += entry.row is not None and entry.row.is_accepted
            survey.originals += entry.original is not None
            match self._classify(entry):
                case None:
                    pass
                case GarbageKind.ORPHAN:
                    survey.orphans += 1
                case GarbageKind.MISSING_ORIGINAL:
                    survey.missing += 1
                case _:
                    survey.others += 1
        return survey

    async def find_files(self, folder: Path) -> AsyncIterator[Garbage]:
        """Yields old temporary files in one of `folders`. Raises ServiceError."""
        for path in await anyio.to_thread.run_sync(old_files, folder, self._before):
            yield Garbage(GarbageKind.TEMPORARY, path)

    async def find_uploads(self) -> AsyncIterator[Garbage]:
        """Yields garbage of listings, for `is_garbage` to confirm. Raises StoreUnavailable or CatalogUnavailable."""
        async for entry in inventory(self._store, self._repository):
            self._on_upload()
            if kind := self._classify(entry):
                yield Garbage(kind, entry.upload_id)

    async def is_garbage(self, garbage: Garbage) -> bool:
        """Whether a finding of `find_uploads` is really garbage. Changes nothing. Raises StoreUnavailable."""
        if garbage.kind is GarbageKind.MISPLACED:
            return await self._is_misplaced(UploadId(garbage.name))
        return garbage.kind is not GarbageKind.VARIANTS or await self._has_old_variants(UploadId(garbage.name))

    def _classify(self, entry: InventoryEntry) -> GarbageKind | None:
        row, original, trashed = entry.row, entry.original, entry.trashed
        is_old = original is None or original.last_modified < self._before
        if row and row.created_at < self._before:
            if not row.is_accepted:
                return GarbageKind.INCOMPLETE_UPLOAD if is_old else None
            if original is None:
                return GarbageKind.IN_TRASH if trashed else GarbageKind.MISSING_ORIGINAL
            if entry.variants - {row.visibility}:
                return GarbageKind.MISPLACED
        elif row is None and original:
            if is_old:
                return GarbageKind.ORPHAN
        elif row is None and entry.variants:
            return GarbageKind.VARIANTS  # of any age: a listing of folders has no dates
        is_expired = trashed and trashed.last_modified < self._expired_before and (row is None or original)
        is_left = entry.fields and entry.fields.last_modified < self._before and not (row or original or trashed)
        return GarbageKind.EXPIRED if is_expired else GarbageKind.FIELDS if is_left else None

    async def remove(self, garbage: Garbage) -> bool:
        """Checks the garbage again and removes it. Returns False if it is in use by now, or too young.

        Removes objects, CDN copies, then rows, as a deletion does, so that the next run finds an interrupted removal.
        Raises StoreUnavailable, CdnUnavailable, CatalogUnavailable or ServiceError.
        """
        if garbage.kind is GarbageKind.TEMPORARY:
            await anyio.to_thread.run_sync(remove_file, Path(garbage.name))
            return True
        removers = {
            GarbageKind.ORPHAN: self._remove_orphan,
            GarbageKind.INCOMPLETE_UPLOAD: self._remove_incomplete,
            GarbageKind.MISSING_ORIGINAL: self._remove_rows,
            GarbageKind.IN_TRASH: self._put_back,
            GarbageKind.VARIANTS: self._remove_variants,
            GarbageKind.MISPLACED: self._remove_misplaced,
            GarbageKind.FIELDS: self._remove_fields,
            GarbageKind.EXPIRED: self._remove_expired,
        }
        return await removers[garbage.kind](UploadId(garbage.name))

    async def _remove_orphan(self, upload_id: UploadId) -> bool:
        if not await self._trash.move(upload_id, before=self._before, is_wanted=self._repository.exists):
            return False
        await self._withdraw(upload_id)
        return True

    async def _remove_incomplete(self, upload_id: UploadId) -> bool:
        await self._trash.move(upload_id, before=self._before, is_wanted=self._repository.is_accepted)
        if await self._has_original(upload_id) or await self._repository.is_accepted(upload_id):
            return False
        await self._variant_service.withdraw(upload_id)  # never acknowledged, so no CDN has it
        await self._repository.delete(upload_id)
        await self._remove_fields(upload_id)
        return True

    async def _remove_rows(self, upload_id: UploadId) -> bool:
        if await self._has_original(upload_id):
            return False
        await self._withdraw(upload_id)  # also if there are no variants: a delete may have stopped at the CDN
        await self._repository.delete(upload_id)
        await self._remove_fields(upload_id)
        return True

    async def _put_back(self, upload_id: UploadId) -> bool:
        has_original = await self._trash.put_back(upload_id)
        await self._trash.discard_if_restored(upload_id)
        return has_original

    async def _remove_variants(self, upload_id: UploadId) -> bool:
        if not await self._has_old_variants(upload_id):
            return False
        if await self._repository.exists(upload_id) or await self._has_original(upload_id):
            return False
        await self._withdraw(upload_id)
        await self._remove_fields(upload_id)
        return True

    async def _remove_misplaced(self, upload_id: UploadId) -> bool:
        if not await self._is_misplaced(upload_id):
            return False
        await self._variant_service.withdraw_variants(upload_id)
        await self._cdn.invalidate([upload_tag(upload_id)], withdrawn=True)
        return True

    async def _is_misplaced(self, upload_id: UploadId) -> bool:
        """Whether variants have the path of the other visibility than the original's, after an interrupted change."""
        original = await look_up(self._store, original_key(upload_id))
        if original is None:
            return False
        (other,) = {*Visibility} - {visibility_of(original)}
        return bool([info async for info in self._store.list(variants_prefix(upload_id, other))])

    async def _remove_fields(self, upload_id: UploadId) -> bool:
        if await self._repository.exists(upload_id) or await self._has_original(upload_id):
            return False
        if await exists(self._store, trash_key(upload_id)):
            return False
        await self._store.delete(fields_key(upload_id))
        return True

    async def _remove_expired(self, upload_id: UploadId) -> bool:
        if await self._repository.exists(upload_id) and not await self._has_original(upload_id):
            return False
        await self._trash.discard(upload_id)
        await self._remove_fields(upload_id)
        return True

    async def _withdraw(self, upload_id: UploadId) -> None:
        # Not `withdrawn`, which waits two seconds for each: the original is long gone, so no variant is on its way.
        await self._variant_service.withdraw(upload_id)
        await self._cdn.invalidate([upload_tag(upload_id)])

    async def _has_old_variants(self, upload_id: UploadId) -> bool:
        """Whether there are variants, and all of them are old."""
        prefixes = variants_prefixes(upload_id)
        stored = [info.last_modified for prefix in prefixes async for info in self._store.list(prefix)]
        return bool(stored) and max(stored) < self._before

    async def _has_original(self, upload_id: UploadId) -> bool:
        return await exists(self._store, original_key(upload_id))
