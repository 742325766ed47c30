"""Ingest's services with a memory store and a database file. All tests share a render process."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.jobs.warm_up import WarmUp
from ingest.uploads.upload_service import UploadService
from proxy.imaging.limits import Limits
from proxy.recipe import Recipes
from proxy.rendering.pool import RenderPool
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import SIZES
from tests.unit.ingest.fakes import RecordingCdn, RecordingQueue, VerifiedInstallation
from tests.unit.ingest.repositories import WatchedRepository
from tests.waiting import GUARD


@pytest_asyncio.fixture(loop_scope="session")
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated, empty database."""
    file = shutil.copy(migrated_file, tmp_path / "catalog.db")
    database = Database(f"sqlite+aiosqlite:///{file}", deadline=GUARD)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool() -> AsyncIterator[RenderPool]:
    pool = RenderPool(
        Limits(100, 1000), processes=1, memory_mb=2048, process_mb=2048, timeout=60, max_waiting=8, searches=True
    )
    await pool.start()
    yield pool
    await pool.close()


@pytest.fixture
def repository(database: Database) -> WatchedRepository:
    return WatchedRepository(database)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    return tmp_path / "tmp"


@pytest_asyncio.fixture(loop_scope="session")
async def variant_service(
    store: CountingStore, pool: RenderPool, metrics: Metrics, temporary: Path, tmp_path: Path
) -> AsyncIterator[VariantService]:
    recipes = Recipes(Settings(data_dir=tmp_path))
    variant_service = VariantService(
        store, pool, recipes, metrics, temporary=temporary, timeout=60, memory_cache_bytes=0, missing_ttl=60
    )
    yield variant_service
    await variant_service.drain()


@pytest.fixture
def cdn() -> RecordingCdn:
    return RecordingCdn()


@pytest.fixture
def installation() -> VerifiedInstallation:
    return VerifiedInstallation()


@pytest.fixture
def uploads(
    *,
    store: CountingStore,
    pool: RenderPool,
    repository: WatchedRepository,
    installation: VerifiedInstallation,
    queue: RecordingQueue,
    cdn: RecordingCdn,
    variant_service: VariantService,
    metrics: Metrics,
    temporary: Path,
) -> UploadService:
    return UploadService(
        store=store,
        pool=pool,
        repository=repository,
        installation=installation,
        queue=queue,
        cdn=cdn,
        variant_service=variant_service,
        recipes=Recipes(Settings()),
        sizes=SIZES,
        accept=Settings.model_fields["accept"].default,
        default_visibility=Settings.model_fields["default_visibility"].default,
        metrics=metrics,
        temporary=temporary,
    )


@pytest.fixture
def warmup(repository: WatchedRepository, variant_service: VariantService) -> WarmUp:
    return WarmUp(repository, variant_service, SIZES)
