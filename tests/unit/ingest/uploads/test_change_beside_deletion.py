"""Changing an upload while it is deleted.

A copy of an object onto itself may bring back an original that is deleted at the same moment.
"""

import asyncio

import pytest

from ingest.catalog.database import Database
from ingest.ingest_errors import CdnUnavailable
from ingest.uploads.presentation_service import PresentationService
from ingest.uploads.upload_service import UploadService
from proxy.errors import UnknownUpload
from proxy.keys import original_key
from tests.fakes import CountingStore
from tests.unit.ingest.fakes import RecordingCdn
from tests.unit.ingest.leftovers import rows
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.uploads.focuses import FOCUS, received

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("cdn_fails", [False, True])
async def test_change_that_ends_after_the_deletion_removes_the_original_again(
    *,
    uploads: UploadService,
    presentations: PresentationService,
    store: CountingStore,
    cdn: RecordingCdn,
    cdn_fails: bool,
) -> None:
    upload_id = (await received(uploads)).upload_id
    original = await store.inner.get(original_key(upload_id))
    gate = store.hold("set_metadata", done=True)
    change = asyncio.create_task(presentations.change(upload_id, {"focus": FOCUS}))
    await gate.reached.wait()

    await uploads.delete(upload_id)
    await store.inner.put(original_key(upload_id), original.body, content_type="image/png")
    cdn.failure = CdnUnavailable("CloudFront is unavailable.") if cdn_fails else None
    gate.open()

    with pytest.raises(CdnUnavailable if cdn_fails else UnknownUpload):
        await change
    assert await store.keys() == []


async def test_original_whose_row_is_missing_for_another_reason_is_kept(
    uploads: UploadService,
    presentations: PresentationService,
    store: CountingStore,
    repository: WatchedRepository,
) -> None:
    """As while an older backup is being restored."""
    upload_id = (await received(uploads)).upload_id
    gate = store.hold("set_metadata", done=True)
    change = asyncio.create_task(presentations.change(upload_id, {"focus": FOCUS}))
    await gate.reached.wait()
    await repository.delete(upload_id)
    gate.open()

    with pytest.raises(UnknownUpload):
        await change
    assert await store.keys() == [original_key(upload_id)]


async def test_deletion_that_ends_after_the_change_removes_the_original_again(
    uploads: UploadService, store: CountingStore, repository: WatchedRepository, database: Database
) -> None:
    upload_id = (await received(uploads)).upload_id
    original = await store.inner.get(original_key(upload_id))
    gate = repository.hold("delete")
    deletion = asyncio.create_task(uploads.delete(upload_id))
    await gate.reached.wait()

    await store.inner.put(original_key(upload_id), original.body, content_type="image/png")
    gate.open()

    await deletion
    assert await store.keys() == []
    assert await rows(database) == (0, 0)
