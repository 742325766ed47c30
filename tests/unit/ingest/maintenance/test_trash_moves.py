"""Originals without rows move to the trash, and are deleted there later."""

import asyncio
from datetime import timedelta

import pytest

from ingest.maintenance.garbage_collector import Garbage, GarbageKind
from ingest.records import JobStatus
from proxy.errors import StoreUnavailable
from proxy.keys import original_key, trash_key, variant_key
from proxy.model import new_upload_id
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.maintenance.garbage_scene import VARIANT, Scene, leave_original_alone, leave_variants_alone

pytestmark = pytest.mark.asyncio(loop_scope="session")


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

    async def test_upload_whose_original_is_in_the_trash_is_restored(self, scene: Scene) -> None:
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

    async def test_expired_copy_needed_by_a_row_is_kept(self, scene: Scene) -> None:
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
