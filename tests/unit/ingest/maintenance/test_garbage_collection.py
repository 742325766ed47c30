"""Leftovers of crashes are found and removed; complete uploads and uploads in progress are kept."""

import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path, PosixPath

import pytest

from ingest.ingest_errors import CatalogUnavailable, CdnUnavailable
from ingest.maintenance.garbage_collection import Collector, Garbage, GarbageKind
from ingest.records import Upload
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, new_upload_id
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import RecordingCdn
from tests.unit.ingest.leftovers import rows
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = timedelta(0)
"""Everything counts as old."""

VARIANT = SIZES.standard[0]


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

    async def put(self, key: str) -> None:
        await self.store.put(key, b"bytes", content_type="image/jpeg")

    async def upload(self, upload: Upload) -> None:
        await self.put(original_key(upload.upload_id))
        await self.put(variant_key(upload.upload_id, VARIANT))
        await self.repository.begin(upload.upload_id)
        await self.repository.accept(upload)

    def collector(
        self, age: timedelta = NOW, *, folder: Path | None = None, on_upload: Callable[[], None] = lambda: None
    ) -> Collector:
        folders = [folder or self.temporary]
        parts = self.store, self.repository, self.variant_service, self.cdn
        return Collector(*parts, folders=folders, age=age, on_upload=on_upload)

    async def find(self, age: timedelta = NOW) -> list[Garbage]:
        return [garbage async for garbage in self.collector(age).find()]

    async def collect(self) -> None:
        collector = self.collector()
        for garbage in [garbage async for garbage in collector.find()]:
            await collector.remove(garbage)


@pytest.fixture
async def scene(
    store: CountingStore,
    repository: WatchedRepository,
    variant_service: VariantService,
    cdn: RecordingCdn,
    temporary: Path,
) -> Scene:
    scene = Scene(store, repository, variant_service, cdn, temporary)
    await scene.upload(scene.whole)
    return scene


async def test_complete_upload_is_not_garbage(scene: Scene) -> None:
    assert await scene.find() == []


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


CRASHES = {
    leave_job_alone: GarbageKind.INCOMPLETE_UPLOAD,
    leave_job_and_original: GarbageKind.INCOMPLETE_UPLOAD,
    leave_rows_without_original: GarbageKind.MISSING_ORIGINAL,
    leave_original_alone: GarbageKind.ORPHAN,
    leave_variants_alone: GarbageKind.ORPHAN,
}


@pytest.mark.promise("B10")
@pytest.mark.parametrize(("leave", "kind"), CRASHES.items(), ids=[leave.__name__ for leave in CRASHES])
async def test_leftovers_of_a_crash_are_found_and_removed(
    scene: Scene, leave: Callable[[Scene, UploadId], Awaitable[None]], kind: GarbageKind
) -> None:
    upload_id = new_upload_id()
    await leave(scene, upload_id)

    assert await scene.find(timedelta(hours=1)) == []
    assert {(garbage.kind, garbage.name) for garbage in await scene.find()} >= {(kind, upload_id)}

    await scene.collect()

    assert await scene.find() == []
    keys = await scene.store.keys()
    assert sorted(keys) == sorted([original_key(scene.whole.upload_id), variant_key(scene.whole.upload_id, VARIANT)])
    assert await rows(scene.repository._database) == (1, 1)
    assert scene.cdn.invalidated == ([] if kind is GarbageKind.INCOMPLETE_UPLOAD else [upload_tag(upload_id)])


async def test_cdn_failure_keeps_rows_to_be_found_again(scene: Scene) -> None:
    """A delete that failed at the CDN left them. Without the rows, nothing would say what the CDN still holds."""
    upload_id = new_upload_id()
    await leave_rows_without_original(scene, upload_id)
    scene.cdn.failure = CdnUnavailable("away")

    with pytest.raises(CdnUnavailable):
        await scene.collect()
    assert await scene.find() == [Garbage(GarbageKind.MISSING_ORIGINAL, upload_id)]

    scene.cdn.failure = None
    await scene.collect()
    assert scene.cdn.invalidated == [upload_tag(upload_id)]
    assert await scene.find() == []


async def test_only_old_temporary_files_are_removed(scene: Scene) -> None:
    folder = scene.temporary / new_upload_id()
    folder.mkdir(parents=True)
    (folder / "original.jpg").write_bytes(b"half")
    young = scene.temporary / "original-young"
    young.write_bytes(b"half")
    two_hours_ago = folder.stat().st_mtime - 7200
    os.utime(folder, (two_hours_ago, two_hours_ago))

    found = await scene.find(timedelta(hours=1))
    assert found == [Garbage(GarbageKind.TEMPORARY, str(folder))]
    for garbage in found:
        await scene.collector().remove(garbage)

    assert list(scene.temporary.iterdir()) == [young]


async def test_file_removed_meanwhile_is_ignored(scene: Scene) -> None:
    kept, gone = scene.temporary / "kept", scene.temporary / "gone"
    scene.temporary.mkdir()
    kept.write_bytes(b"half")

    class Listed(PosixPath):
        """A folder whose listing is out of date."""

        def iterdir(self) -> Iterator[Path]:
            return iter([gone, kept])

    collector = scene.collector(-timedelta(minutes=1), folder=Listed(scene.temporary))

    assert [garbage async for garbage in collector.find()] == [Garbage(GarbageKind.TEMPORARY, str(kept))]


async def test_empty_database_with_full_store_raises(scene: Scene) -> None:
    await scene.repository.delete(scene.whole.upload_id)

    with pytest.raises(CatalogUnavailable, match="DATABASE_URL"):
        await scene.find()
    assert len(await scene.store.keys()) == 2


async def test_on_upload_is_called_for_each_upload(scene: Scene) -> None:
    """Once each for row, original and variants, so that progress is visible even if nothing is found."""
    await scene.upload(accepted())
    looked: list[None] = []
    collector = scene.collector(on_upload=lambda: looked.append(None))

    assert [garbage async for garbage in collector.find()] == []
    assert len(looked) == 3 * sum((await scene.repository.count()).values())
