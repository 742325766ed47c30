"""Changing focus and visibility of an upload: original, variants, CDN and rows, in an order that can be resumed."""

import asyncio
from dataclasses import replace

import pytest

from ingest.ingest_errors import CatalogUnavailable, CdnUnavailable
from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.records import JobStatus, VariantState
from ingest.uploads.presentation_service import PresentationService
from ingest.uploads.upload_service import UploadService
from proxy.errors import StoreUnavailable, UnknownUpload
from proxy.keys import original_key, variants_prefix
from proxy.model import Visibility
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.fakes import RecordingCdn, RecordingQueue
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.uploads.focuses import FOCUS, FOCUSED, focus_in_store, received

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def warmup(repository: WatchedRepository, variant_service: VariantService) -> WarmUp:
    return WarmUp(repository, variant_service, FOCUSED)


@pytest.mark.heavy
async def test_change_replaces_the_variants_and_nothing_else_of_the_original(
    *,
    uploads: UploadService,
    presentations: PresentationService,
    warmup: WarmUp,
    store: CountingStore,
    repository: WatchedRepository,
    queue: RecordingQueue,
    cdn: RecordingCdn,
) -> None:
    upload_id = (await received(uploads)).upload_id
    await deliver(warmup.run, upload_id)
    before, original = await repository.find(upload_id), await store.inner.get(original_key(upload_id))
    old = {key: (await store.inner.get(key)).body for key in await store.keys(variants_prefix(upload_id))}
    queue.published.clear()

    upload, job = await presentations.change(upload_id, {"focus": FOCUS})

    assert await store.keys() == [original_key(upload_id)]
    changed = await store.inner.get(original_key(upload_id))
    assert (changed.body, changed.info.content_type) == (original.body, original.info.content_type)
    assert changed.info.metadata == {**original.info.metadata, "focus": FOCUS}
    assert (cdn.invalidated, cdn.withdrawn) == ([f"upload-{upload_id}"], [])
    assert (upload, job) == await repository.find(upload_id)
    assert replace(upload, focus=None, variants={}) == replace(before[0], variants={})
    assert {known.state for known in upload.variants.values()} == {VariantState.WAITING}
    assert (job.status, job.progress, job.attempts, job.worker) == (JobStatus.PENDING, 0, 0, None)
    assert queue.published == [upload_id]

    assert await deliver(warmup.run, upload_id) is JobStatus.COMPLETE
    new = {key: (await store.inner.get(key)).body for key in await store.keys(variants_prefix(upload_id))}
    assert new.keys() == old.keys()
    assert all(new[key] != old[key] for key in old)


async def test_null_removes_the_focus(
    uploads: UploadService, presentations: PresentationService, store: CountingStore, repository: WatchedRepository
) -> None:
    upload_id = (await received(uploads)).upload_id
    await presentations.change(upload_id, {"focus": FOCUS})

    upload, _ = await presentations.change(upload_id, {"focus": None})

    assert upload.focus is None
    assert await focus_in_store(store, upload_id) is None


async def test_same_focus_again_changes_nothing(
    uploads: UploadService, presentations: PresentationService, store: CountingStore, queue: RecordingQueue
) -> None:
    upload_id = (await received(uploads)).upload_id
    first = await presentations.change(upload_id, {"focus": FOCUS})
    store.calls.clear()
    queue.published.clear()

    assert await presentations.change(upload_id, {"focus": FOCUS}) == first

    assert store.calls == [("head", original_key(upload_id))]
    assert queue.published == []


async def test_change_of_an_original_without_created_metadata_keeps_its_creation_time(
    uploads: UploadService, presentations: PresentationService, store: CountingStore
) -> None:
    """Replacing the metadata changes when the object was stored."""
    upload = await received(uploads)
    await store.inner.put(original_key(upload.upload_id), image_bytes(), content_type="image/png")

    await presentations.change(upload.upload_id, {"focus": FOCUS})

    metadata = (await store.inner.head(original_key(upload.upload_id))).metadata
    assert metadata == {"created": upload.created_at.isoformat(), "focus": FOCUS}


@pytest.mark.parametrize("method", ["set_metadata", "list", "cdn", "change_presentation"])
async def test_failed_change_is_completed_by_another_call(
    *,
    uploads: UploadService,
    presentations: PresentationService,
    store: CountingStore,
    repository: WatchedRepository,
    cdn: RecordingCdn,
    queue: RecordingQueue,
    method: str,
) -> None:
    upload_id = (await received(uploads)).upload_id
    await store.inner.put(f"{variants_prefix(upload_id)}small.jpg", b"old", content_type="image/jpeg")
    queue.published.clear()
    store.fail(method)
    repository.fail(method, 1)
    cdn.failure = CdnUnavailable("CloudFront is unavailable.") if method == "cdn" else None

    with pytest.raises((StoreUnavailable, CdnUnavailable, CatalogUnavailable)):
        await presentations.change(upload_id, {"focus": FOCUS})
    assert (await repository.find(upload_id))[0].focus is None
    assert queue.published == []
    cdn.failure = None

    upload, _ = await presentations.change(upload_id, {"focus": FOCUS})

    assert upload.focus == await focus_in_store(store, upload_id) == FOCUS
    assert await store.keys() == [original_key(upload_id)]
    assert queue.published == [upload_id]


async def test_repeated_visibility_removes_variants_left_behind(
    uploads: UploadService, presentations: PresentationService, store: CountingStore, cdn: RecordingCdn
) -> None:
    upload_id = (await received(uploads)).upload_id
    await presentations.change(upload_id, {"visibility": Visibility.PRIVATE})
    await store.inner.put(f"images/{upload_id}/small.jpg", b"left behind", content_type="image/jpeg")
    cdn.withdrawn.clear()

    await presentations.change(upload_id, {"visibility": Visibility.PRIVATE})

    assert await store.keys() == [original_key(upload_id)]
    assert cdn.withdrawn == [f"upload-{upload_id}"]

    await presentations.change(upload_id, {"focus": FOCUS})

    assert cdn.withdrawn == [f"upload-{upload_id}"]


@pytest.mark.heavy
async def test_changed_visibility_moves_the_variants_to_the_other_path(
    *,
    uploads: UploadService,
    presentations: PresentationService,
    warmup: WarmUp,
    store: CountingStore,
    cdn: RecordingCdn,
) -> None:
    upload_id = (await received(uploads)).upload_id
    await deliver(warmup.run, upload_id)
    public = await store.keys(f"images/{upload_id}/")
    for visibility, there, gone in (("private", "private", "images"), ("public", "images", "private")):
        upload, job = await presentations.change(upload_id, {"visibility": Visibility(visibility)})

        assert await store.keys() == [original_key(upload_id)]
        assert (upload.visibility, job.status) == (visibility, JobStatus.PENDING)
        assert {known.url.split("/")[1] for known in upload.variants.values()} == {there}
        assert await deliver(warmup.run, upload_id) is JobStatus.COMPLETE
        assert await store.keys(f"{gone}/") == []
        stored = await store.keys(f"{there}/")
        assert [key.split("/", 1)[1] for key in stored] == [key.split("/", 1)[1] for key in public]
    assert (cdn.invalidated, cdn.withdrawn) == ([f"upload-{upload_id}"] * 2, [f"upload-{upload_id}"])


@pytest.mark.heavy
async def test_change_takes_the_job_from_a_running_warm_up(
    uploads: UploadService,
    presentations: PresentationService,
    warmup: WarmUp,
    store: CountingStore,
    repository: WatchedRepository,
) -> None:
    upload_id = (await received(uploads)).upload_id
    gate = store.hold("put")
    running = asyncio.create_task(deliver(warmup.run, upload_id))
    await gate.reached.wait()

    await presentations.change(upload_id, {"focus": FOCUS})
    gate.open()

    assert await running in (None, JobStatus.COMPLETE)  # it lost the job, or tried again and found the new focus
    assert (await deliver(warmup.run, upload_id, force=True)) is JobStatus.COMPLETE
    stored = [await store.inner.head(key) for key in await store.keys(variants_prefix(upload_id))]
    assert [info.metadata["focus"] for info in stored] == [FOCUS] * len(FOCUSED.standard(alpha=False))


async def test_unknown_upload_is_not_touched(
    uploads: UploadService, presentations: PresentationService, store: CountingStore, repository: WatchedRepository
) -> None:
    upload_id = (await received(uploads)).upload_id
    await repository.delete(upload_id)

    with pytest.raises(UnknownUpload):
        await presentations.change(upload_id, {"focus": FOCUS})

    assert await focus_in_store(store, upload_id) is None
