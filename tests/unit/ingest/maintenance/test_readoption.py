"""Lost rows are rebuilt from the stored originals."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from ingest.idempotency_key import source_key
from ingest.ingest_errors import KeyReused
from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.maintenance.readoption import Inspector, Readopter
from ingest.maintenance.trash import Trash
from ingest.records import JobStatus, PrivateMetadata, Upload, VariantState
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.errors import Undecodable, UnknownUpload
from proxy.keys import fields_key, original_key, trash_key, variant_key
from proxy.model import Focus, Visibility, new_upload_id
from proxy.rendering.pool import RenderPool
from tests import pictures
from tests.camera import camera_exif
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, image_bytes
from tests.unit.ingest.fakes import RecordingQueue, queue_away
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def readopter(
    store: CountingStore, repository: WatchedRepository, queue: RecordingQueue, pool: RenderPool, temporary: Path
) -> Readopter:
    return Readopter(store, repository, queue, SIZES, Inspector(store, pool, temporary).inspect)


@pytest_asyncio.fixture(loop_scope="session")
async def lost(uploads: UploadService, repository: WatchedRepository, queue: RecordingQueue) -> Upload:
    """An upload whose rows were lost."""
    upload = await uploads.receive(chunks_of(image_bytes(130, 101, "webp")))
    await repository.delete(upload.upload_id)
    queue.published.clear()
    return upload


async def strip_metadata(store: CountingStore, upload: Upload, **metadata: str) -> None:
    """As an earlier version stored it."""
    key = original_key(upload.upload_id)
    stored = await store.get(key)
    await store.put(key, stored.body, content_type=stored.info.content_type, metadata=metadata)


async def test_readoption_restores_the_rows_and_queues_the_warm_up(
    readopter: Readopter, lost: Upload, repository: WatchedRepository, queue: RecordingQueue, store: CountingStore
) -> None:
    assert await readopter.is_readoptable(lost.upload_id) is True

    assert await readopter.readopt(lost.upload_id) is True

    upload, job = await repository.find(lost.upload_id)
    assert upload == lost
    assert (job.status, job.progress, job.created_at) == (JobStatus.PENDING, 0, lost.created_at)
    assert queue.published == [lost.upload_id]
    assert store.count("download") == 0


async def test_stored_variants_are_known_and_make_the_job_complete(
    readopter: Readopter, lost: Upload, repository: WatchedRepository, queue: RecordingQueue, store: CountingStore
) -> None:
    for number, variant in enumerate(SIZES.standard(alpha=False)):
        await store.put(variant_key(lost.upload_id, variant), bytes(number), content_type="image/png")

    await readopter.readopt(lost.upload_id)

    upload, job = await repository.find(lost.upload_id)
    assert (job.status, job.progress) == (JobStatus.COMPLETE, 100)
    assert [(known.state, known.bytes) for known in upload.variants.values()] == [
        (VariantState.STORED, number) for number in range(len(SIZES.standard(alpha=False)))
    ]
    assert queue.published == []


async def test_readopted_upload_can_be_warmed_up(readopter: Readopter, lost: Upload, warmup: WarmUp) -> None:
    await readopter.readopt(lost.upload_id)

    assert await deliver(warmup.run, lost.upload_id) is JobStatus.COMPLETE


async def test_import_knows_the_readopted_upload_of_its_source(
    readopter: Readopter, uploads: UploadService, repository: WatchedRepository
) -> None:
    key = source_key("/photos/a.jpg", timedelta(0))
    upload = await uploads.receive(chunks_of(image_bytes()), key)
    before = await repository.find_by_key(key)
    await repository.delete(upload.upload_id, keeps_key=False)  # as in a database that was lost

    await readopter.readopt(upload.upload_id)

    assert before is not None
    assert await repository.find_by_key(key) == before


@pytest.mark.parametrize("deleted", [False, True])
async def test_attempt_of_a_killed_import_is_not_readopted_once_its_source_has_an_upload(
    readopter: Readopter, uploads: UploadService, repository: WatchedRepository, store: CountingStore, deleted: bool
) -> None:
    key = source_key("/photos/a.jpg", timedelta(0))
    upload = await uploads.receive(chunks_of(image_bytes()), key)
    attempt = new_upload_id()
    await store.copy(original_key(upload.upload_id), original_key(attempt))
    if deleted:
        await uploads.delete(upload.upload_id)

    with pytest.raises(KeyReused):
        await readopter.readopt(attempt)

    assert not await repository.exists(attempt)


@pytest.mark.parametrize("metadata", [{}, {"width": "-1", "height": "x"}, {"sha256": "0"}], ids=["none", "bad", "old"])
async def test_original_of_an_earlier_version_is_inspected_again(
    readopter: Readopter, lost: Upload, repository: WatchedRepository, store: CountingStore, metadata: dict[str, str]
) -> None:
    if "sha256" in metadata:
        metadata = {"sha256": (await store.head(original_key(lost.upload_id))).metadata["sha256"]}
    await strip_metadata(store, lost, **metadata)
    stored_at = (await store.head(original_key(lost.upload_id))).last_modified

    assert await readopter.readopt(lost.upload_id) is True

    upload, _ = await repository.find(lost.upload_id)
    assert upload == replace(lost, created_at=stored_at, sha256=metadata.get("sha256"))
    assert store.count("download") == 1


async def test_private_metadata_is_read_back(
    readopter: Readopter, uploads: UploadService, repository: WatchedRepository
) -> None:
    file = pictures.jpeg(pictures.disc((9, 9, 9)).convert("RGB"), exif=camera_exif())
    upload = await uploads.receive(chunks_of(file))
    await repository.delete(upload.upload_id)

    await readopter.readopt(upload.upload_id)

    assert upload.private is not None
    assert upload.private != PrivateMetadata([], [])
    assert (await repository.find(upload.upload_id))[0].private == upload.private


async def test_upload_with_rows_is_left_alone(
    readopter: Readopter, uploads: UploadService, repository: WatchedRepository
) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()))
    before = await repository.find(upload.upload_id)

    assert await readopter.is_readoptable(upload.upload_id) is False
    assert await readopter.readopt(upload.upload_id) is False

    assert await repository.find(upload.upload_id) == before


async def test_undecodable_original_raises_and_leaves_no_rows(
    readopter: Readopter, repository: WatchedRepository, store: CountingStore
) -> None:
    upload_id = new_upload_id()
    await store.put(original_key(upload_id), image_bytes()[:700], content_type="image/jpeg")

    with pytest.raises(Undecodable):
        await readopter.readopt(upload_id)

    assert not await repository.exists(upload_id)


async def test_missing_original_raises_unknown_upload(readopter: Readopter) -> None:
    with pytest.raises(UnknownUpload, match="No image was uploaded under this id"):
        await readopter.readopt(new_upload_id())


async def test_original_removed_meanwhile_leaves_no_rows(
    readopter: Readopter, lost: Upload, repository: WatchedRepository, store: CountingStore
) -> None:
    adopt = repository.adopt

    async def adopt_too_late(upload: Upload, status: JobStatus, source: object) -> bool:
        await store.delete(original_key(upload.upload_id))
        return await adopt(upload, status, source)

    repository.adopt = adopt_too_late
    with pytest.raises(UnknownUpload, match="removed meanwhile"):
        await readopter.readopt(lost.upload_id)

    assert not await repository.exists(lost.upload_id)


async def test_queue_outage_does_not_matter(
    readopter: Readopter, lost: Upload, queue: RecordingQueue, repository: WatchedRepository
) -> None:
    queue.failure = queue_away()

    assert await readopter.readopt(lost.upload_id) is True
    assert await repository.next_pending() == lost.upload_id


class TestPuttingBack:
    async def test_interrupted_restore_is_completed(self, store: CountingStore) -> None:
        upload_id, trash = new_upload_id(), Trash(store)
        await store.put(trash_key(upload_id), b"x", content_type="image/png", metadata={"width": "7"})
        assert await trash.put_back(upload_id) is True

        assert await trash.put_back(upload_id) is True
        await trash.discard_if_restored(upload_id)

        assert await store.keys() == [original_key(upload_id)]
        assert (await store.head(original_key(upload_id))).metadata == {"width": "7"}

    async def test_copy_whose_original_was_never_moved_is_kept(self, store: CountingStore) -> None:
        """Another process may be about to delete that original, after it has found no rows."""
        upload_id, trash = new_upload_id(), Trash(store)
        await store.put(original_key(upload_id), b"x", content_type="image/png")
        await store.copy(original_key(upload_id), trash_key(upload_id))

        assert await trash.put_back(upload_id) is True
        await trash.discard_if_restored(upload_id)

        assert sorted(await store.keys()) == [original_key(upload_id), trash_key(upload_id)]

    async def test_put_back_of_an_unknown_upload_returns_false(self, store: CountingStore) -> None:
        assert await Trash(store).put_back(new_upload_id()) is False


async def test_focus_is_restored(uploads: UploadService, readopter: Readopter, repository: WatchedRepository) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()), fields=UploadFields({"focus": Focus("0.3,0.7")}))
    await repository.delete(upload.upload_id)

    await readopter.readopt(upload.upload_id)

    assert (await repository.find(upload.upload_id))[0] == upload
    assert upload.focus == "0.3,0.7"


async def test_private_upload_stays_private(
    uploads: UploadService, readopter: Readopter, repository: WatchedRepository
) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()), fields=UploadFields({"visibility": Visibility.PRIVATE}))
    await repository.delete(upload.upload_id)

    await readopter.readopt(upload.upload_id)

    assert (await repository.find(upload.upload_id))[0] == upload
    assert {known.url.split("/")[1] for known in upload.variants.values()} == {"private"}


GIVEN = {"owner": "Zoë", "externalId": "listing/7", "metadata": {"b": [1.0, None], "a": "é"}}


async def test_fields_of_the_application_are_restored(
    uploads: UploadService, readopter: Readopter, repository: WatchedRepository
) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()), fields=UploadFields(dict(GIVEN)))
    await repository.delete(upload.upload_id)

    await readopter.readopt(upload.upload_id)

    assert (await repository.find(upload.upload_id))[0] == upload
    assert (upload.owner, upload.external_id, upload.metadata) == tuple(GIVEN.values())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"owner": 1}', b'{"owner": "a", "owner": "b"}'])
async def test_unreadable_fields_do_not_stop_the_rebuilding(
    uploads: UploadService, readopter: Readopter, repository: WatchedRepository, store: CountingStore, body: bytes
) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()), fields=UploadFields({"owner": "Zoë"}))
    await repository.delete(upload.upload_id)
    await store.put(fields_key(upload.upload_id), body, content_type="application/json")

    assert await readopter.readopt(upload.upload_id)

    assert (await repository.find(upload.upload_id))[0] == replace(upload, owner=None)
