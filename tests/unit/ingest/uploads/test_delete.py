"""Deleting an upload: original, variants and rows, in an order that can be resumed."""

import asyncio
from collections.abc import Callable

import pytest

from ingest.catalog.database import Database
from ingest.ingest_errors import CatalogUnavailable, CdnUnavailable
from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.uploads.upload_service import UploadService
from proxy.errors import StoreUnavailable, UnknownUpload
from proxy.keys import original_key, trash_key, variant_key
from proxy.model import UploadId, new_upload_id
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, image_bytes
from tests.unit.ingest.fakes import RecordingCdn
from tests.unit.ingest.leftovers import rows
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def warmed(uploads: UploadService, warmup: WarmUp) -> UploadId:
    upload = await uploads.receive(chunks_of(image_bytes()))
    await deliver(warmup.run, upload.upload_id)
    return upload.upload_id


@pytest.mark.heavy
async def test_delete_leaves_nothing(
    uploads: UploadService, warmup: WarmUp, store: CountingStore, database: Database
) -> None:
    upload_id = await warmed(uploads, warmup)
    assert len(await store.keys(f"images/{upload_id}/")) == len(SIZES.standard(alpha=False))

    await uploads.delete(upload_id)

    assert await store.keys() == []
    assert await rows(database) == (0, 0)


async def test_second_delete_raises_unknown_upload(uploads: UploadService, store: CountingStore) -> None:
    upload_id = (await uploads.receive(chunks_of(image_bytes()))).upload_id
    await uploads.delete(upload_id)
    store.calls.clear()

    with pytest.raises(UnknownUpload):
        await uploads.delete(upload_id)

    assert {method for method, _ in store.calls} == {"head"}


async def test_delete_of_an_unknown_id_only_looks_for_its_original(
    uploads: UploadService, store: CountingStore
) -> None:
    upload_id = new_upload_id()

    with pytest.raises(UnknownUpload):
        await uploads.delete(upload_id)

    assert store.calls == [("head", original_key(upload_id)), ("head", trash_key(upload_id))]


@pytest.mark.parametrize("key_of", [original_key, trash_key])
async def test_delete_without_rows_removes_all_stored_objects(
    uploads: UploadService, store: CountingStore, cdn: RecordingCdn, key_of: Callable[[UploadId], str]
) -> None:
    """After an older backup was restored. Otherwise `readopt` or `trash restore` would bring the upload back."""
    upload_id = new_upload_id()
    for key in (key_of(upload_id), variant_key(upload_id, SIZES.variants[0])):
        await store.put(key, b"x", content_type="image/jpeg")

    await uploads.delete(upload_id)

    assert await store.keys() == []
    assert cdn.withdrawn == [upload_tag(upload_id)]
    with pytest.raises(UnknownUpload):
        await uploads.delete(upload_id)


async def test_delete_removes_the_copy_in_the_trash_too(uploads: UploadService, store: CountingStore) -> None:
    upload_id = (await uploads.receive(chunks_of(image_bytes()))).upload_id
    await store.copy(original_key(upload_id), trash_key(upload_id))

    await uploads.delete(upload_id)

    assert await store.keys() == []


async def test_delete_of_an_upload_in_progress_raises_unknown_upload(
    uploads: UploadService, repository: WatchedRepository, store: CountingStore
) -> None:
    upload_id = new_upload_id()
    await repository.begin(upload_id)
    await store.put(original_key(upload_id), b"x", content_type="image/jpeg")

    with pytest.raises(UnknownUpload):
        await uploads.delete(upload_id)

    assert await store.keys() == [original_key(upload_id)]


@pytest.mark.heavy
async def test_other_uploads_are_kept(
    uploads: UploadService, warmup: WarmUp, store: CountingStore, repository: WatchedRepository
) -> None:
    upload_id, other = await warmed(uploads, warmup), await warmed(uploads, warmup)
    before = await repository.find(other)

    await uploads.delete(upload_id)

    assert await repository.find(other) == before
    variants = [f"images/{other}/{variant.name}" for variant in SIZES.standard(alpha=False)]
    assert await store.keys() == sorted([original_key(other), *variants])


@pytest.mark.heavy
async def test_deleted_upload_is_not_served(
    uploads: UploadService, warmup: WarmUp, variant_service: VariantService
) -> None:
    upload_id = await warmed(uploads, warmup)
    await variant_service.fetch(upload_id, SIZES.variants[0])

    await uploads.delete(upload_id)

    with pytest.raises(UnknownUpload):
        await variant_service.fetch(upload_id, SIZES.variants[0])


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["delete", "list"])
async def test_store_failure_keeps_the_upload_for_another_delete(
    *,
    uploads: UploadService,
    warmup: WarmUp,
    store: CountingStore,
    repository: WatchedRepository,
    database: Database,
    method: str,
) -> None:
    upload_id = await warmed(uploads, warmup)
    before = await repository.find(upload_id)
    store.fail(method)

    with pytest.raises(StoreUnavailable):
        await uploads.delete(upload_id)
    assert await repository.find(upload_id) == before

    await uploads.delete(upload_id)
    assert await store.keys() == []
    assert await rows(database) == (0, 0)


@pytest.mark.heavy
async def test_database_failure_keeps_the_upload_for_another_delete(
    uploads: UploadService, warmup: WarmUp, store: CountingStore, repository: WatchedRepository, database: Database
) -> None:
    upload_id = await warmed(uploads, warmup)
    repository.fail("delete", 1)

    with pytest.raises(CatalogUnavailable):
        await uploads.delete(upload_id)
    assert (await repository.find(upload_id))[0].upload_id == upload_id

    await uploads.delete(upload_id)
    assert await store.keys() == []
    assert await rows(database) == (0, 0)


@pytest.mark.heavy
async def test_database_outage_deletes_no_object(
    uploads: UploadService, warmup: WarmUp, store: CountingStore, repository: WatchedRepository
) -> None:
    upload_id = await warmed(uploads, warmup)
    before = await store.keys()
    repository.fail("find")

    with pytest.raises(CatalogUnavailable):
        await uploads.delete(upload_id)

    assert await store.keys() == before


@pytest.mark.heavy
async def test_concurrent_deletes_succeed(
    uploads: UploadService, warmup: WarmUp, store: CountingStore, database: Database
) -> None:
    upload_id = await warmed(uploads, warmup)

    results = await asyncio.gather(*(uploads.delete(upload_id) for _ in range(2)), return_exceptions=True)

    assert None in results
    assert {type(result) for result in results} <= {type(None), UnknownUpload}
    assert await store.keys() == []
    assert await rows(database) == (0, 0)


async def test_cdn_is_invalidated_before_rows_are_deleted(
    uploads: UploadService, cdn: RecordingCdn, repository: WatchedRepository
) -> None:
    upload_id = (await uploads.receive(chunks_of(image_bytes()))).upload_id
    cdn.failure = CdnUnavailable("CloudFront is unavailable.")

    with pytest.raises(CdnUnavailable):
        await uploads.delete(upload_id)
    await repository.find(upload_id)  # still listed, so that the call can be repeated
    cdn.failure = None
    await uploads.delete(upload_id)

    assert cdn.withdrawn == [f"upload-{upload_id}"]
    with pytest.raises(UnknownUpload):
        await repository.find(upload_id)
