"""Nothing is written to a database and an object store that do not belong together."""

import pytest

from ingest.ingest_errors import InstallationMismatch
from ingest.uploads.upload_service import UploadService
from proxy.errors import StoreUnavailable
from proxy.keys import original_key
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.fakes import VerifiedInstallation
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAILURES = [InstallationMismatch("another installation"), StoreUnavailable("away")]


@pytest.mark.parametrize("failure", FAILURES, ids=["mismatch", "unknown"])
async def test_upload_is_refused_and_the_next_one_is_not(
    uploads: UploadService,
    installation: VerifiedInstallation,
    store: CountingStore,
    repository: WatchedRepository,
    failure: Exception,
) -> None:
    installation.failures = [failure]

    with pytest.raises(type(failure)):
        await uploads.receive(chunks_of(image_bytes()))

    assert (store.calls, repository.calls) == ([], [])
    upload = await uploads.receive(chunks_of(image_bytes()))
    assert await store.keys() == [original_key(upload.upload_id)]


@pytest.mark.parametrize("failure", FAILURES, ids=["mismatch", "unknown"])
async def test_deletion_is_refused_and_the_next_one_is_not(
    uploads: UploadService, installation: VerifiedInstallation, store: CountingStore, failure: Exception
) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()))
    installation.failures = [failure]

    with pytest.raises(type(failure)):
        await uploads.delete(upload.upload_id)

    assert await store.keys() == [original_key(upload.upload_id)]
    await uploads.delete(upload.upload_id)
    assert await store.keys() == []
