"""The merge of database and store: every upload once, in order, with its own variants only."""

import pytest

from ingest.catalog.repository import JobRepository
from ingest.stored_variants import accepted_ids, stored_variants
from proxy.keys import variant_key, variants_prefix
from proxy.model import UploadId, Visibility
from tests.contracts.uploads import accept_upload
from tests.memory_store import MemoryStore
from tests.unit.ingest.examples import SIZES

pytestmark = pytest.mark.asyncio(loop_scope="session")

A, B, C, D, E, F = (UploadId(f"{digit * 8}-0000-4000-8000-000000000000") for digit in "012abf")
FIRST, SECOND, *_ = SIZES.variants


async def found(store: MemoryStore, repository: JobRepository, start: UploadId | None = None) -> dict[str, list[str]]:
    merged = stored_variants(store, repository, SIZES, start)
    return {row.upload_id: [info.key for info in stored.values()] async for row, stored in merged}


@pytest.mark.parametrize("batch", [1, 2, 1000])
async def test_each_upload_comes_once_with_its_variants(
    repository: JobRepository, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("ingest.catalog.upload_rows._BATCH", batch)
    store = MemoryStore()
    for upload_id in (B, C, E):
        await accept_upload(repository, upload_id=upload_id)
    await repository.begin(F)  # an upload in progress
    keys = {each: sorted(variant_key(each, variant) for variant in (FIRST, SECOND)) for each in (A, C, D, E, F)}
    others = "images/stray", "images/not-an-id/small.jpg", f"images/{B}/retired.jpg", f"images/{C}/small.jpg/more"
    for key in (*others, *(key for each in keys.values() for key in each)):
        await store.put(key, b"x", content_type="image/png")

    assert await found(store, repository) == {B: [], C: keys[C], E: keys[E]}
    assert list(await found(store, repository)) == [B, C, E]
    assert await found(store, repository, C) == {C: keys[C], E: keys[E]}
    assert await found(store, repository, D) == {E: keys[E]}
    assert await found(store, repository, F) == {}
    assert [each async for each in accepted_ids(repository, C)] == [C, E]


async def test_upload_has_the_variants_of_its_visibility(repository: JobRepository) -> None:
    store = MemoryStore()
    for upload_id, visibility in ((B, Visibility.PRIVATE), (C, Visibility.PUBLIC), (E, Visibility.PRIVATE)):
        await accept_upload(repository, upload_id=upload_id)
        await repository.change_presentation(upload_id, {"visibility": visibility}, {})
        for each in Visibility:
            await store.put(f"{variants_prefix(upload_id, each)}{FIRST.name}", b"x", content_type="image/png")

    assert await found(store, repository) == {
        B: [f"private/{B}/{FIRST.name}"],
        C: [f"images/{C}/{FIRST.name}"],
        E: [f"private/{E}/{FIRST.name}"],
    }


async def test_only_uploads_of_the_database_are_yielded(repository: JobRepository) -> None:
    store = MemoryStore()
    assert await found(store, repository) == {}

    await store.put(variant_key(A, FIRST), b"x", content_type="image/png")
    assert await found(store, repository) == {}

    await accept_upload(repository, upload_id=B)
    assert await found(store, repository) == {B: []}
