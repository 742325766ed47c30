"""The object `fields/{uploadId}`: written before the rows, changed with them, and removed with the upload."""

import asyncio
import json
from dataclasses import replace

import pytest

from ingest.catalog.database import Database
from ingest.ingest_errors import CatalogUnavailable, InProgress
from ingest.uploads.fields_service import FieldsService
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.errors import StoreUnavailable, UnknownUpload
from proxy.keys import fields_key, original_key
from proxy.model import Focus, UploadId
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.fakes import VerifiedInstallation
from tests.unit.ingest.leftovers import Check, rows
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

GIVEN = {"owner": "Zoë", "externalId": "7", "metadata": {"a": 1}}


@pytest.fixture
def service(store: CountingStore, repository: WatchedRepository, installation: VerifiedInstallation) -> FieldsService:
    return FieldsService(store=store, repository=repository, installation=installation)


async def upload(uploads: UploadService, **values: object) -> UploadId:
    return (await uploads.receive(chunks_of(image_bytes()), fields=UploadFields(dict(values)))).upload_id


async def stored(store: CountingStore, upload_id: UploadId) -> object:
    return json.loads((await store.get(fields_key(upload_id))).body)


async def test_fields_are_stored_before_the_original(uploads: UploadService, store: CountingStore) -> None:
    upload_id = await upload(uploads, **GIVEN)

    assert await stored(store, upload_id) == GIVEN
    puts = [key for method, key in store.calls if method == "put"]
    assert puts.index(fields_key(upload_id)) < puts.index(original_key(upload_id))


async def test_upload_without_such_fields_stores_none(uploads: UploadService, store: CountingStore) -> None:
    await upload(uploads, focus=Focus("0,1"))

    assert await store.keys("fields/") == []


async def test_refused_upload_leaves_none(
    uploads: UploadService, repository: WatchedRepository, assert_nothing_left: Check
) -> None:
    repository.fail("accept")

    with pytest.raises(CatalogUnavailable):
        await upload(uploads, **GIVEN)

    repository.fail("accept", 0)
    await assert_nothing_left()


async def test_deletion_removes_stored_fields(uploads: UploadService, store: CountingStore) -> None:
    await uploads.delete(await upload(uploads, **GIVEN))

    assert await store.keys() == []


async def test_change_sets_and_removes_single_values_in_database_and_store(
    uploads: UploadService, service: FieldsService, repository: WatchedRepository, store: CountingStore
) -> None:
    upload_id = await upload(uploads, **GIVEN)

    await service.change(upload_id, {"owner": "Ida", "externalId": None, "focus": Focus("0,0")})

    found, _ = await repository.find(upload_id)
    assert (found.owner, found.external_id, found.metadata, found.focus) == ("Ida", None, {"a": 1}, None)
    assert await stored(store, upload_id) == {"owner": "Ida", "metadata": {"a": 1}}

    await service.change(upload_id, {"owner": None, "metadata": None})

    found, _ = await repository.find(upload_id)
    assert (found.owner, found.external_id, found.metadata) == (None, None, None)
    assert await store.keys("fields/") == []


async def test_change_after_a_failure_of_the_store_is_finished_by_a_repeat(
    uploads: UploadService, service: FieldsService, store: CountingStore
) -> None:
    upload_id = await upload(uploads, **GIVEN)
    store.fail("put")
    with pytest.raises(StoreUnavailable):
        await service.change(upload_id, {"owner": "Ida"})

    await service.change(upload_id, {"owner": "Ida"})

    assert await stored(store, upload_id) == GIVEN | {"owner": "Ida"}


async def test_changes_at_the_same_moment_are_both_kept(
    uploads: UploadService, service: FieldsService, repository: WatchedRepository, store: CountingStore
) -> None:
    upload_id = await upload(uploads)

    await asyncio.gather(*(service.change(upload_id, {name: value}) for name, value in GIVEN.items()))

    assert await stored(store, upload_id) == GIVEN
    found, _ = await repository.find(upload_id)
    assert (found.owner, found.external_id, found.metadata) == tuple(GIVEN.values())


async def test_change_that_loses_ten_times_to_others_is_in_progress(
    uploads: UploadService, service: FieldsService, repository: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await upload(uploads)
    find, finds = repository.find, 0

    async def find_other_fields(wanted: UploadId) -> object:
        nonlocal finds
        finds += 1
        found, job = await find(wanted)
        return replace(found, owner=f"owner {finds}"), job

    monkeypatch.setattr(repository, "find", find_other_fields)

    with pytest.raises(InProgress):
        await service.change(upload_id, {"owner": "Ida"})

    assert finds == 10


async def test_change_at_the_moment_of_a_deletion_leaves_nothing(
    *,
    uploads: UploadService,
    service: FieldsService,
    repository: WatchedRepository,
    store: CountingStore,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload_id = await upload(uploads)
    find = repository.find

    async def delete_first(wanted: UploadId) -> object:
        monkeypatch.setattr(repository, "find", find)
        await uploads.delete(wanted)
        await store.put(fields_key(wanted), b"{}", content_type="application/json")  # of the change, in the last moment
        return await find(wanted)

    monkeypatch.setattr(repository, "find", delete_first)

    with pytest.raises(UnknownUpload):
        await service.change(upload_id, {"owner": "Ida"})

    assert await store.keys() == []
    assert await rows(database) == (0, 0)


async def test_change_of_an_unknown_upload_touches_no_object(service: FieldsService, store: CountingStore) -> None:
    with pytest.raises(UnknownUpload):
        await service.change(UploadId("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"), {"owner": "Ida"})

    assert await store.keys("fields/") == []
