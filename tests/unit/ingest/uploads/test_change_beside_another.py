"""Two changes of an upload at the same moment, with and without a lease that both see."""

import asyncio
from copy import copy

import pytest

from ingest.ingest_errors import InProgress
from ingest.uploads import presentation_service
from ingest.uploads.presentation_service import PresentationService
from ingest.uploads.upload_service import UploadService
from proxy.keys import original_key, variants_prefix
from proxy.model import Visibility
from proxy.variants.leases.lease_store import NoLeases
from tests.fakes import CountingStore
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.uploads.focuses import FOCUS, OTHER, focus_in_store, received

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_without_a_common_lease_original_and_database_agree_in_the_end(
    uploads: UploadService, presentations: PresentationService, store: CountingStore, repository: WatchedRepository
) -> None:
    upload_id = (await received(uploads)).upload_id
    gate = repository.hold("change_presentation")
    slow = asyncio.create_task(presentations.change(upload_id, {"focus": FOCUS}))
    await gate.reached.wait()
    await store.inner.set_metadata(original_key(upload_id), {"focus": OTHER})  # the other one's, which ends first
    gate.open()

    await store.inner.put(f"{variants_prefix(upload_id)}small.jpg", b"cropped before", content_type="image/jpeg")

    upload, _ = await slow

    assert upload.focus == await focus_in_store(store, upload_id) == FOCUS
    assert await store.keys() == [original_key(upload_id)]


async def test_concurrent_changes_do_not_undo_each_other(
    uploads: UploadService, presentations: PresentationService, store: CountingStore
) -> None:
    upload_id = (await received(uploads)).upload_id
    gate = store.hold("set_metadata")
    first = asyncio.create_task(presentations.change(upload_id, {"focus": FOCUS}))
    await gate.reached.wait()
    second = asyncio.create_task(presentations.change(upload_id, {"visibility": Visibility.PRIVATE}))
    await asyncio.sleep(0.1)  # the second would read the metadata now
    gate.open()
    await first

    upload, _ = await second

    metadata = (await store.inner.head(original_key(upload_id))).metadata
    assert (upload.focus, upload.visibility) == (FOCUS, Visibility.PRIVATE)
    assert (metadata["focus"], metadata["visibility"]) == (FOCUS, "private")


@pytest.mark.parametrize("last", ["focus", "visibility"])
async def test_without_a_common_lease_a_change_of_the_focus_does_not_undo_private(
    *,
    uploads: UploadService,
    presentations: PresentationService,
    store: CountingStore,
    monkeypatch: pytest.MonkeyPatch,
    last: str,
) -> None:
    """Both have read the metadata before either writes it; then they go on in either order."""
    monkeypatch.setattr(presentations, "_leases", NoLeases())
    elsewhere = copy(presentations)
    monkeypatch.setattr(elsewhere, "_store", store.inner)  # without the gate
    upload_id = (await received(uploads)).upload_id
    changes = {"focus": {"focus": FOCUS}, "visibility": {"visibility": Visibility.PRIVATE}}
    gate = store.hold("set_metadata")
    slow = asyncio.create_task(presentations.change(upload_id, changes.pop(last)))
    await gate.reached.wait()
    [other] = changes.values()
    await elsewhere.change(upload_id, other)
    gate.open()
    await slow

    upload, _ = await presentations.change(upload_id, {})
    metadata = (await store.inner.head(original_key(upload_id))).metadata
    assert (upload.visibility, metadata["visibility"]) == ("private", "private")


async def test_change_that_waits_too_long_for_another_is_refused(
    *,
    uploads: UploadService,
    presentations: PresentationService,
    store: CountingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presentation_service, "_LEASE_TIMEOUT", 0.1)
    upload_id = (await received(uploads)).upload_id
    gate = store.hold("set_metadata")
    first = asyncio.create_task(presentations.change(upload_id, {"focus": FOCUS}))
    await gate.reached.wait()

    with pytest.raises(InProgress):
        await presentations.change(upload_id, {"focus": OTHER})
    gate.open()
    assert (await first)[0].focus == FOCUS
