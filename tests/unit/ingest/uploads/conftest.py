"""Fixtures that change an upload, and that check what an upload leaves."""

from pathlib import Path

import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.uploads.presentation_service import PresentationService
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.fakes import RecordingCdn, RecordingQueue, VerifiedInstallation
from tests.unit.ingest.leftovers import Check, files_below, rows
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.uploads.focuses import FOCUSED


@pytest_asyncio.fixture(loop_scope="session")
async def assert_nothing_left(
    store: CountingStore, database: Database, queue: RecordingQueue, temporary: Path
) -> Check:
    async def check() -> None:
        assert await store.keys() == []
        assert await rows(database) == (0, 0)
        assert files_below(temporary) == []
        assert queue.published == []

    return check


@pytest.fixture
def presentations(
    *,
    store: CountingStore,
    repository: WatchedRepository,
    installation: VerifiedInstallation,
    queue: RecordingQueue,
    cdn: RecordingCdn,
    variant_service: VariantService,
    tmp_path: Path,
) -> PresentationService:
    return PresentationService(
        store=store,
        repository=repository,
        installation=installation,
        queue=queue,
        cdn=cdn,
        variant_service=variant_service,
        sizes=FOCUSED,
        leases=FileLeaseStore(tmp_path),
    )
