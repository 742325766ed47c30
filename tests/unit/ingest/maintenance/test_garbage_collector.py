"""Leftovers of crashes are found and removed; originals, complete uploads and uploads in progress are kept."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from ingest.ingest_errors import CdnUnavailable
from ingest.maintenance.garbage_collector import Garbage, GarbageKind
from proxy.keys import fields_key, original_key, trash_key
from proxy.model import UploadId, Visibility, new_upload_id
from proxy.variants.encoded_variant import upload_tag
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.leftovers import rows
from tests.unit.ingest.maintenance.garbage_scene import CRASHES, Scene, leave_rows_without_original

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_complete_upload_is_not_garbage(scene: Scene) -> None:
    assert await scene.find() == []


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
    unseen = kind in (GarbageKind.INCOMPLETE_UPLOAD, GarbageKind.FIELDS)
    assert scene.cdn.invalidated == ([] if unseen else [upload_tag(upload_id)])
    assert scene.cdn.withdrawn == []  # it waits for each


async def test_fields_of_an_original_in_the_trash_are_removed_with_the_original(scene: Scene) -> None:
    upload_id = new_upload_id()
    for key in (original_key(upload_id), fields_key(upload_id)):
        await scene.put(key)

    assert await scene.collect() == [Garbage(GarbageKind.ORPHAN, upload_id)]
    assert await scene.find() == []
    assert await scene.keys() == [fields_key(upload_id), trash_key(upload_id)]

    scene.trash_age = timedelta(0)
    assert await scene.collect() == [Garbage(GarbageKind.EXPIRED, upload_id)]
    assert await scene.keys() == []


async def test_fields_of_an_upload_that_appeared_meanwhile_stay(scene: Scene) -> None:
    for leave in (scene.repository.begin(new := new_upload_id()), scene.put(original_key(other := new_upload_id()))):
        await leave
    await scene.put(trash_key(third := new_upload_id()))
    for upload_id in (new, other, third):
        await scene.put(fields_key(upload_id))

        assert await scene.collector().remove(Garbage(GarbageKind.FIELDS, upload_id)) is False

        assert fields_key(upload_id) in await scene.keys()


@pytest.mark.promise("B10")
async def test_variants_at_the_path_of_another_visibility_are_removed(scene: Scene) -> None:
    """As a change that stopped half-way leaves them, also with a database that does not know of it."""
    upload_id = scene.whole.upload_id
    for original, left in ((Visibility.PUBLIC, "private"), (Visibility.PRIVATE, "images")):
        for prefix in ("images", "private"):
            await scene.put(f"{prefix}/{upload_id}/small.jpg")
        metadata = {"visibility": original}
        await scene.store.put(original_key(upload_id), b"bytes", content_type="image/jpeg", metadata=metadata)
        scene.cdn.withdrawn.clear()

        assert await scene.collect() == [Garbage(GarbageKind.MISPLACED, upload_id)]

        assert await scene.store.keys(f"{left}/") == []
        assert scene.cdn.withdrawn == [upload_tag(upload_id)]
        assert await scene.find() == []


async def test_variants_of_a_change_in_progress_are_left_alone(scene: Scene) -> None:
    """The database is last: it still calls the upload public."""
    upload_id = scene.whole.upload_id
    await scene.store.delete(*await scene.store.keys("images/"))
    metadata = {"visibility": "private"}
    await scene.store.put(original_key(upload_id), b"bytes", content_type="image/jpeg", metadata=metadata)
    await scene.put(f"private/{upload_id}/small.jpg")

    assert await scene.find() == []
    assert await scene.collector().remove(Garbage(GarbageKind.MISPLACED, upload_id)) is False
    assert await scene.store.keys("private/") == [f"private/{upload_id}/small.jpg"]


async def test_cdn_failure_keeps_rows_for_the_next_run(scene: Scene) -> None:
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
