"""Working off the deletion of all uploads of an owner."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from ingest.catalog.database import Database
from ingest.catalog.owner_deletions import OwnerDeletions
from ingest.ingest_errors import CatalogUnavailable, CdnUnavailable
from ingest.records import JobStatus, OwnerDeletion
from ingest.uploads import owner_deletion_worker
from ingest.uploads.owner_deletion_worker import OwnerDeletionWorker
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.keys import fields_key, original_key
from proxy.model import UploadId
from proxy.variants.encoded_variant import upload_tag
from tests.contracts.job_repository.test_owner_deletions import let_pass
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.fakes import RecordingCdn
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def deletions(database: Database) -> OwnerDeletions:
    return OwnerDeletions(database)


@pytest.fixture
def worker(
    deletions: OwnerDeletions, repository: WatchedRepository, uploads: UploadService, monkeypatch: pytest.MonkeyPatch
) -> OwnerDeletionWorker:
    monkeypatch.setattr(owner_deletion_worker, "_RETRIES", (0.01, 0.01))
    monkeypatch.setattr(owner_deletion_worker, "BATCH", 2)
    return OwnerDeletionWorker(deletions, repository, uploads)


async def receive(uploads: UploadService, *owners: str) -> list[UploadId]:
    fields = [UploadFields({"owner": owner}) for owner in owners]
    return [(await uploads.receive(chunks_of(image_bytes()), fields=each)).upload_id for each in fields]


async def ended(deletions: OwnerDeletions, deletion: OwnerDeletion) -> tuple[JobStatus, int, int, int, str | None]:
    found = await deletions.find(deletion.deletion_id)
    assert found
    return found.status, found.total, found.deleted, found.failed, found.error


async def test_all_uploads_of_the_owner_are_deleted_and_no_others(
    worker: OwnerDeletionWorker,
    deletions: OwnerDeletions,
    uploads: UploadService,
    store: CountingStore,
    cdn: RecordingCdn,
) -> None:
    *gone, kept = await receive(uploads, "Ida", "Ida", "Ida", "Zoë")
    deletion = await deletions.create("Ida")
    later = (await receive(uploads, "Ida"))[0]

    assert await worker.run_next()

    assert await ended(deletions, deletion) == (JobStatus.COMPLETE, 3, 3, 0, None)
    stays = [fields_key(kept), fields_key(later), original_key(kept), original_key(later)]
    assert sorted(await store.keys()) == sorted(stays)
    assert sorted(cdn.withdrawn) == sorted(map(upload_tag, gone))
    assert not await worker.run_next()


async def test_failure_of_one_upload_does_not_stop_the_others_and_can_be_repeated(
    worker: OwnerDeletionWorker, deletions: OwnerDeletions, uploads: UploadService, store: CountingStore
) -> None:
    ids = await receive(uploads, *["Ida"] * 5)
    keys = f"{original_key(ids[2])} trash/{ids[2]} {fields_key(ids[2])}"
    store.refuse("delete", keys)
    deletion = await deletions.create("Ida")

    await worker.run_next()

    reason = "1 uploads could not be deleted. Call it again."
    assert await ended(deletions, deletion) == (JobStatus.FAILED, 5, 4, 1, reason)
    assert await store.keys("originals/") == [original_key(ids[2])]

    store._refused.clear()
    again = await deletions.create("Ida")
    await worker.run_next()
    assert await ended(deletions, again) == (JobStatus.COMPLETE, 1, 1, 0, None)
    assert await store.keys() == []


async def test_short_outage_is_waited_for(
    worker: OwnerDeletionWorker, deletions: OwnerDeletions, uploads: UploadService, store: CountingStore
) -> None:
    await receive(uploads, "Ida", "Ida")
    deletion = await deletions.create("Ida")
    store.fail("delete", 2)

    await worker.run_next()

    assert await ended(deletions, deletion) == (JobStatus.COMPLETE, 2, 2, 0, None)


@pytest.fixture
def give_to_zoe_meanwhile(
    uploads: UploadService, repository: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> Callable[[UploadId], None]:
    """After the first attempt at a batch, the upload gets another owner."""
    delete_many = uploads.delete_many

    def give(upload_id: UploadId) -> None:
        async def delete_then_give(ids: Sequence[UploadId]) -> dict[UploadId, Exception]:
            monkeypatch.setattr(uploads, "delete_many", delete_many)
            failures = await delete_many(ids)
            await repository.change_fields(upload_id, {"owner": "Zoë"})
            return failures

        monkeypatch.setattr(uploads, "delete_many", delete_then_give)

    return give


async def test_deletion_that_has_begun_ends_although_the_owner_changes(
    *,
    worker: OwnerDeletionWorker,
    deletions: OwnerDeletions,
    uploads: UploadService,
    repository: WatchedRepository,
    store: CountingStore,
    cdn: RecordingCdn,
    monkeypatch: pytest.MonkeyPatch,
    give_to_zoe_meanwhile: Callable[[UploadId], None],
) -> None:
    [given, other] = await receive(uploads, "Ida", "Ida")
    deletion = await deletions.create("Ida")
    give_to_zoe_meanwhile(given)
    invalidate, failures = cdn.invalidate, [CdnUnavailable("away")]

    async def fail_first(tags: Sequence[str], *, withdrawn: bool) -> None:
        if failures:
            raise failures.pop()
        await invalidate(tags, withdrawn=withdrawn)

    monkeypatch.setattr(cdn, "invalidate", fail_first)
    await worker.run_next()

    assert await ended(deletions, deletion) == (JobStatus.COMPLETE, 2, 2, 0, None)
    assert await store.keys() == []
    assert await repository.find_many([given, other]) == {}
    assert sorted(cdn.withdrawn) == sorted(map(upload_tag, (given, other)))


async def test_upload_that_gets_another_owner_before_its_deletion_begins_stays_and_is_not_counted(
    *,
    worker: OwnerDeletionWorker,
    deletions: OwnerDeletions,
    uploads: UploadService,
    repository: WatchedRepository,
    store: CountingStore,
    give_to_zoe_meanwhile: Callable[[UploadId], None],
) -> None:
    [given, other] = await receive(uploads, "Ida", "Ida")
    store.refuse("delete", f"{original_key(given)} trash/{given} {fields_key(given)}")
    deletion = await deletions.create("Ida")
    give_to_zoe_meanwhile(given)

    await worker.run_next()

    assert await ended(deletions, deletion) == (JobStatus.COMPLETE, 2, 1, 0, None)
    assert await store.keys("originals/") == [original_key(given)]
    assert (await repository.find(given))[0].owner == "Zoë"
    assert await repository.find_many([other]) == {}


async def test_upload_that_cannot_be_looked_for_after_its_owner_changed_is_counted_as_failed(
    *,
    worker: OwnerDeletionWorker,
    deletions: OwnerDeletions,
    uploads: UploadService,
    store: CountingStore,
    give_to_zoe_meanwhile: Callable[[UploadId], None],
) -> None:
    [given] = await receive(uploads, "Ida")
    store.fail("delete", 1)
    store.fail("head")
    deletion = await deletions.create("Ida")
    give_to_zoe_meanwhile(given)

    await worker.run_next()

    reason = "1 uploads could not be deleted. Call it again."
    assert await ended(deletions, deletion) == (JobStatus.FAILED, 1, 0, 1, reason)


@pytest.mark.promise("E11")
async def test_deletion_of_a_dead_worker_is_finished_by_another(
    *,
    worker: OwnerDeletionWorker,
    deletions: OwnerDeletions,
    uploads: UploadService,
    repository: WatchedRepository,
    database: Database,
    store: CountingStore,
) -> None:
    await receive(uploads, *["Ida"] * 5)
    deletion = await deletions.create("Ida")
    gate = repository.hold("delete")
    run = asyncio.create_task(worker.run_next())
    await gate.reached.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    gate.open()
    assert not await worker.run_next()  # it may still be alive
    await let_pass(database, deletion.deletion_id, timedelta(minutes=1))

    assert await worker.run_next()

    status, total, _, failed, error = await ended(deletions, deletion)
    assert (status, total, failed, error) == (JobStatus.COMPLETE, 5, 0, None)
    assert await store.keys() == []


async def test_database_outage_leaves_the_deletion_for_later(
    worker: OwnerDeletionWorker,
    deletions: OwnerDeletions,
    uploads: UploadService,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await receive(uploads, "Ida")
    deletion = await deletions.create("Ida")

    async def fail(*_: object, **__: object) -> None:
        raise CatalogUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(deletions, "record", fail)
        with pytest.raises(CatalogUnavailable):
            await worker.run_next()
    await let_pass(database, deletion.deletion_id, timedelta(minutes=1))

    assert await worker.run_next()
    assert (await ended(deletions, deletion))[0] is JobStatus.COMPLETE


async def test_running_worker_is_woken_and_survives_errors(
    worker: OwnerDeletionWorker, deletions: OwnerDeletions, uploads: UploadService, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, failures = deletions.claim, [ValueError("a defect"), CatalogUnavailable("away")]

    async def fail_first(name: str) -> OwnerDeletion | None:
        if failures:
            raise failures.pop()
        return await claim(name)

    monkeypatch.setattr(deletions, "claim", fail_first)
    await receive(uploads, "Ida")
    deletion = await deletions.create("Ida")
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(20):
            while (await ended(deletions, deletion))[0] is not JobStatus.COMPLETE:
                worker.wake()
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
