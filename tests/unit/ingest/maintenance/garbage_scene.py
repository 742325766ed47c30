"""Uploads in every state, a collector, and what it finds."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from ingest.maintenance.garbage_collector import Collector, Garbage, GarbageKind
from ingest.records import Upload
from proxy.keys import fields_key, original_key, variant_key
from proxy.model import UploadId
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import RecordingCdn
from tests.unit.ingest.repositories import WatchedRepository

NOW = timedelta(0)
"""Everything counts as old."""


VARIANT = SIZES.variants[0]


class Scene:
    """One complete upload, and what a test adds."""

    def __init__(
        self,
        store: CountingStore,
        repository: WatchedRepository,
        variant_service: VariantService,
        cdn: RecordingCdn,
        temporary: Path,
    ) -> None:
        self.store, self.repository, self.variant_service = store, repository, variant_service
        self.cdn, self.temporary = cdn, temporary
        self.whole: Upload = accepted()
        self.trash_age = timedelta(days=30)

    async def put(self, key: str) -> None:
        await self.store.put(key, b"bytes", content_type="image/jpeg")

    async def upload(self, upload: Upload) -> None:
        await self.put(original_key(upload.upload_id))
        await self.put(variant_key(upload.upload_id, VARIANT))
        await self.repository.begin(upload.upload_id)
        await self.repository.accept(upload)

    def collector(self, age: timedelta = NOW, *, on_upload: Callable[[], None] = lambda: None) -> Collector:
        folders = [self.temporary]
        parts = self.store, self.repository, self.variant_service, self.cdn
        return Collector(*parts, folders=folders, age=age, trash_age=self.trash_age, on_upload=on_upload)

    async def find(self, age: timedelta = NOW) -> list[Garbage]:
        collector = self.collector(age)
        found = [garbage async for garbage in collector.find_files(self.temporary)]
        found += [garbage async for garbage in collector.find_uploads()]
        return [garbage for garbage in found if await collector.is_garbage(garbage)]

    async def collect(self) -> list[Garbage]:
        """What was removed."""
        collector = self.collector()
        return [garbage for garbage in await self.find() if await collector.remove(garbage)]

    async def keys(self) -> list[str]:
        """All except those of the complete upload."""
        whole = {original_key(self.whole.upload_id), variant_key(self.whole.upload_id, VARIANT)}
        keys = {*await self.store.keys()}
        assert whole <= keys
        return sorted(keys - whole)


async def leave_job_alone(scene: Scene, upload_id: UploadId) -> None:
    await scene.repository.begin(upload_id)


async def leave_job_and_original(scene: Scene, upload_id: UploadId) -> None:
    await scene.repository.begin(upload_id)
    await scene.put(original_key(upload_id))


async def leave_rows_without_original(scene: Scene, upload_id: UploadId) -> None:
    await scene.upload(accepted(upload_id))
    await scene.store.delete(original_key(upload_id))


async def leave_original_alone(scene: Scene, upload_id: UploadId) -> None:
    await scene.put(original_key(upload_id))


async def leave_variants_alone(scene: Scene, upload_id: UploadId) -> None:
    await scene.put(variant_key(upload_id, VARIANT))


async def leave_fields_alone(scene: Scene, upload_id: UploadId) -> None:
    await scene.put(fields_key(upload_id))


async def leave_job_and_fields(scene: Scene, upload_id: UploadId) -> None:
    await scene.repository.begin(upload_id)
    await scene.put(fields_key(upload_id))


async def leave_rows_and_fields(scene: Scene, upload_id: UploadId) -> None:
    await leave_rows_without_original(scene, upload_id)
    await scene.put(fields_key(upload_id))


async def leave_variants_and_fields(scene: Scene, upload_id: UploadId) -> None:
    await scene.put(variant_key(upload_id, VARIANT))
    await scene.put(fields_key(upload_id))


CRASHES = {
    leave_job_alone: (GarbageKind.INCOMPLETE_UPLOAD, False),
    leave_job_and_original: (GarbageKind.INCOMPLETE_UPLOAD, True),
    leave_rows_without_original: (GarbageKind.MISSING_ORIGINAL, False),
    leave_original_alone: (GarbageKind.ORPHAN, True),
    leave_variants_alone: (GarbageKind.VARIANTS, False),
    leave_fields_alone: (GarbageKind.FIELDS, False),
    leave_job_and_fields: (GarbageKind.INCOMPLETE_UPLOAD, False),
    leave_rows_and_fields: (GarbageKind.MISSING_ORIGINAL, False),
    leave_variants_and_fields: (GarbageKind.VARIANTS, False),
}
"""Kind, and whether an original goes to the trash."""
