"""Leftovers of crashes are found and removed; originals, complete uploads and uploads in progress are kept."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path, PosixPath

import pytest

from ingest.ingest_errors import CdnUnavailable
from ingest.maintenance.garbage_collector import Collector, Garbage, GarbageKind
from ingest.maintenance.garbage_survey import Survey
from ingest.records import JobStatus, Upload
from proxy.errors import ServiceError, StoreUnavailable
from proxy.keys import original_key, trash_key, variant_key
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
        """All but those of the complete upload."""
        whole = {original_key(self.whole.upload_id), variant_key(self.whole.upload_id, VARIANT)}
        keys = {*await self.store.keys()}
        assert whole <= keys
        return sorted(keys - whole)


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
    leave_job_alone: (GarbageKind.INCOMPLETE_UPLOAD, False),
    leave_job_and_original: (GarbageKind.INCOMPLETE_UPLOAD, True),
    leave_rows_without_original: (GarbageKind.MISSING_ORIGINAL, False),
    leave_original_alone: (GarbageKind.ORPHAN, True),
    leave_variants_alone: (GarbageKind.VARIANTS, False),
}
"""Kind, and whether an original goes to the trash."""


@pytest.mark.promise("B10")
@pytest.mark.parametrize(("leave", "expected"), CRASHES.items(), ids=[leave.__name__ for leave in CRASHES])
async def test_leftovers_of_a_crash_are_found_and_removed(
    scene: Scene, leave: Callable[[Scene, UploadId], Awaitable[None]], expected: tuple[GarbageKind, bool]
) -> None:
    kind, has_original = expected
    upload_id = new_upload_id()
    await leave(scene, upload_id)

    assert await scene.find(timedelta(hours=1)) == []
    assert await scene.find() == [Garbage(kind, upload_id)]

    assert await scene.collect() == [Garbage(kind, upload_id)]

    assert await scene.find() == []
    assert await scene.keys() == ([trash_key(upload_id)] if has_original else [])
    assert await rows(scene.repository._database) == (1, 1)
    assert scene.cdn.invalidated == ([] if kind is GarbageKind.INCOMPLETE_UPLOAD else [upload_tag(upload_id)])


class TestTrash:
    async def test_original_moves_with_its_bytes_type_and_metadata_and_its_variants_go(self, scene: Scene) -> None:
        upload_id = new_upload_id()
        metadata = {"sha256": "0" * 64, "thumbhash": "1QcSHQ=="}
        await scene.store.put(original_key(upload_id), b"a picture", content_type="image/webp", metadata=metadata)
        await leave_variants_alone(scene, upload_id)

        await scene.collect()

        stored = await scene.store.get(trash_key(upload_id))
        assert await scene.keys() == [trash_key(upload_id)]
        assert (stored.body, stored.info.content_type, stored.info.metadata) == (b"a picture", "image/webp", metadata)

    @pytest.mark.parametrize("method", ["copy", "head", "delete", "list"])
    async def test_move_that_failed_anywhere_is_completed_by_the_next_run(self, scene: Scene, method: str) -> None:
        upload_id = new_upload_id()
        await leave_original_alone(scene, upload_id)
        await leave_variants_alone(scene, upload_id)
        garbage = Garbage(GarbageKind.ORPHAN, upload_id)
        for calls in range(20):  # fails the n-th call of the method, until none is left to fail
            collector = scene.collector()
            seen = scene.store.count(method)
            scene.store.fail_from(method, after=calls)
            try:
                await collector.remove(garbage)
            except StoreUnavailable:
                scene.store.fail(method, 0)
                assert {original_key(upload_id), trash_key(upload_id)} & {*await scene.keys()}, "the original is lost"
                assert scene.store.count(method) > seen
            else:
                break
            finally:
                scene.store.fail(method, 0)
        assert calls > 0
        await scene.collect()

        assert await scene.keys() == [trash_key(upload_id)]

    async def test_copy_that_differs_keeps_the_original(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        upload_id = new_upload_id()
        await leave_original_alone(scene, upload_id)

        async def truncate(_source: str, target: str) -> None:
            await scene.store.put(target, b"byt", content_type="image/jpeg")

        monkeypatch.setattr(scene.store, "copy", truncate)
        with pytest.raises(StoreUnavailable, match="differs"):
            await scene.collect()

        assert (await scene.store.get(original_key(upload_id))).body == b"bytes"

    @pytest.mark.parametrize("moment", ["copy", "delete"])
    async def test_row_written_during_the_move_keeps_its_original(self, scene: Scene, moment: str) -> None:
        """By `readopt`, or because the right database was restored."""
        upload = accepted()
        await leave_original_alone(scene, upload.upload_id)
        gate = scene.store.hold(moment)
        removing = asyncio.create_task(scene.collector().remove(Garbage(GarbageKind.ORPHAN, upload.upload_id)))
        await gate.reached.wait()

        await scene.repository.adopt(upload, JobStatus.COMPLETE)
        gate.open()

        assert await removing is False
        assert (await scene.store.get(original_key(upload.upload_id))).body == b"bytes"
        assert scene.store.count("delete", original_key(upload.upload_id)) == (moment == "delete")
        assert scene.cdn.invalidated == []

    async def test_original_deleted_by_a_person_during_the_look_stays_deleted(self, scene: Scene) -> None:
        upload_id = new_upload_id()
        await leave_original_alone(scene, upload_id)
        gate = scene.store.hold("copy")
        removing = asyncio.create_task(scene.collector().remove(Garbage(GarbageKind.ORPHAN, upload_id)))
        await gate.reached.wait()

        await scene.variant_service.delete_upload(upload_id)
        gate.open()

        assert await removing is False
        assert await scene.keys() == []

    async def test_two_runs_at_once_keep_one_copy(self, scene: Scene) -> None:
        uploads = [new_upload_id() for _ in range(5)]
        for upload_id in uploads:
            await leave_original_alone(scene, upload_id)

        await asyncio.gather(scene.collect(), scene.collect())

        assert await scene.keys() == sorted(trash_key(upload_id) for upload_id in uploads)

    async def test_upload_whose_original_is_in_the_trash_gets_it_back(self, scene: Scene) -> None:
        """A wrong database was in use when it was moved, and now the right one is back."""
        upload = accepted()
        await scene.upload(upload)
        await scene.store.copy(original_key(upload.upload_id), trash_key(upload.upload_id))
        await scene.store.delete(original_key(upload.upload_id))
        assert (await scene.collector().survey()).missing == 0

        assert await scene.collect() == [Garbage(GarbageKind.IN_TRASH, upload.upload_id)]

        assert await scene.keys() == [variant_key(upload.upload_id, VARIANT), original_key(upload.upload_id)]
        assert await scene.find() == []

    async def test_copy_leaves_the_trash_when_its_time_is_over(self, scene: Scene) -> None:
        upload_id = new_upload_id()
        await scene.put(trash_key(upload_id))
        assert await scene.find() == []

        scene.trash_age = timedelta(0)

        assert await scene.collect() == [Garbage(GarbageKind.EXPIRED, upload_id)]
        assert await scene.keys() == []

    async def test_expired_copy_stays_if_a_row_needs_it(self, scene: Scene) -> None:
        upload_id = new_upload_id()
        await scene.put(trash_key(upload_id))
        await scene.repository.begin(upload_id)

        assert await scene.collector().remove(Garbage(GarbageKind.EXPIRED, upload_id)) is False

        assert await scene.keys() == [trash_key(upload_id)]

    async def test_young_original_of_an_old_job_keeps_its_rows(self, scene: Scene) -> None:
        upload_id = new_upload_id()
        await scene.repository.begin(upload_id)
        collector = scene.collector()
        await leave_original_alone(scene, upload_id)

        assert await collector.remove(Garbage(GarbageKind.INCOMPLETE_UPLOAD, upload_id)) is False

        assert await scene.keys() == [original_key(upload_id)]
        assert await scene.repository.exists(upload_id)

    async def test_original_stored_again_keeps_the_rows(self, scene: Scene) -> None:
        assert await scene.collector().remove(Garbage(GarbageKind.MISSING_ORIGINAL, scene.whole.upload_id)) is False
        assert await scene.repository.is_accepted(scene.whole.upload_id)


class TestShare:
    async def test_survey_counts_and_changes_nothing(self, scene: Scene) -> None:
        for leave in CRASHES:
            await leave(scene, new_upload_id())
        keys = await scene.store.keys()

        survey = await scene.collector().survey()

        assert survey == Survey(rows=4, accepted=2, originals=3, orphans=1, missing=1, others=3)
        assert await scene.store.keys() == keys
        assert {method for method, _ in scene.store.calls} <= {"put", "delete", "list", "folders"}

    @pytest.mark.parametrize(
        ("survey", "is_refused"),
        [
            (Survey(rows=100, accepted=100, originals=100), False),
            (Survey(rows=95, accepted=95, originals=100, orphans=5), False),
            (Survey(rows=94, accepted=94, originals=100, orphans=6), True),
            (Survey(rows=3, accepted=3, originals=4, orphans=1), False),
            (Survey(rows=3, accepted=3, originals=5, orphans=2), True),
            (Survey(rows=0, accepted=0, originals=1, orphans=1), True),
            (Survey(rows=100, accepted=100, originals=95, missing=5), False),
            (Survey(rows=100, accepted=100, originals=94, missing=6), True),
            (Survey(rows=1, accepted=1, originals=0, missing=1), True),
            (Survey(rows=4, accepted=4, originals=3, missing=1), False),
        ],
    )
    async def test_more_than_the_share_is_refused_but_one_leftover_is_not(
        self, survey: Survey, is_refused: bool
    ) -> None:
        assert (survey.refusal(0.05) is not None) is is_refused
        assert survey.refusal(1) is None

    async def test_refusal_has_counts_reason_and_way_out(self) -> None:
        assert Survey(rows=422, accepted=422, originals=622, orphans=200).refusal(0.05) == (
            "200 of 622 originals in the object store have no row in the database, which has 422 uploads. Nothing was "
            "changed, because that is more than GC_MAX_SHARE (5%). Probably this is another database, or an older "
            "backup of it: check DATABASE_URL, or rebuild the rows with `darkroom readopt`. If these originals are "
            "garbage, run `darkroom gc --max-share 0.33`."
        )
        assert Survey(rows=622, accepted=622, originals=622, orphans=200).refusal(0.33) is None
        lost = Survey(rows=10, accepted=10, originals=7, missing=3).refusal(0.05)
        assert lost is not None
        assert lost.startswith("3 of 10 uploads in the database have no original in the object store, which has 7")


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


async def test_folder_is_removed_as_far_as_possible_and_the_rest_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another user, or an immutable one."""
    folder = scene.temporary / "derivation"
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_bytes(b"half")
    remove = os.unlink

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None and Path(f"/proc/self/fd/{dir_fd}").readlink() == folder / "b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        remove(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)

    with pytest.raises(ServiceError, match=r"^Permission denied: .*derivation/b/file\. Remove it as its owner\.$"):
        await scene.collector().remove(Garbage(GarbageKind.TEMPORARY, str(folder)))

    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "b" / "file"]


async def test_link_to_a_folder_is_removed_and_the_folder_stays(scene: Scene, tmp_path: Path) -> None:
    scene.temporary.mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = scene.temporary / "link"
    link.symlink_to(tmp_path / "elsewhere")

    assert await scene.collector().remove(Garbage(GarbageKind.TEMPORARY, str(link)))

    assert not link.is_symlink()
    assert (tmp_path / "elsewhere").is_dir()


async def test_unreadable_folder_is_a_refusal(scene: Scene) -> None:
    class Closed(PosixPath):
        def is_dir(self) -> bool:
            return True

        def iterdir(self) -> Iterator[Path]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    with pytest.raises(ServiceError, match=r"^Permission denied: /tmp/closed\."):
        [garbage async for garbage in scene.collector().find_files(Closed("/tmp/closed"))]


async def test_file_removed_meanwhile_is_ignored(scene: Scene) -> None:
    kept, gone = scene.temporary / "kept", scene.temporary / "gone"
    scene.temporary.mkdir()
    kept.write_bytes(b"half")

    class Listed(PosixPath):
        """A folder whose listing is out of date."""

        def iterdir(self) -> Iterator[Path]:
            return iter([gone, kept])

    collector = scene.collector(-timedelta(minutes=1))

    found = [garbage async for garbage in collector.find_files(Listed(scene.temporary))]

    assert found == [Garbage(GarbageKind.TEMPORARY, str(kept))]


async def test_objects_that_are_not_darkrooms_are_ignored(scene: Scene) -> None:
    for key in ("originals/readme.txt", "images/logo.png", "images/old/logo.png", "trash/notes"):
        await scene.put(key)

    assert await scene.find() == []


async def test_on_upload_is_called_for_each_upload(scene: Scene) -> None:
    """So that progress is visible even if nothing is found."""
    await scene.upload(accepted())
    looked: list[None] = []
    collector = scene.collector(on_upload=lambda: looked.append(None))

    await collector.survey()
    assert [garbage async for garbage in collector.find_uploads()] == []

    assert len(looked) == 4
