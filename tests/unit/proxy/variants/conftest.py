"""One upload in a counting store, a fake render pool, and variant services over both."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.keys import original_key
from proxy.model import Fit, Format, Size, UploadId, Variant, new_upload_id
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, FakePool

ORIGINAL = b"an original"


@pytest.fixture
def variant() -> Variant:
    return Variant(Size("medium", 400, 300, Fit.COVER), Format.WEBP, 2)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    return Recipes(Settings(data_dir=tmp_path))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def pool() -> FakePool:
    return FakePool()


@pytest.fixture
async def upload_id(store: CountingStore) -> UploadId:
    """The id of an upload whose original is stored."""
    upload_id = new_upload_id()
    await store.inner.put(original_key(upload_id), ORIGINAL, content_type="image/jpeg")
    return upload_id


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    return tmp_path / "tmp"


@pytest.fixture
async def make(
    store: CountingStore, pool: FakePool, recipes: Recipes, metrics: Metrics, temporary: Path
) -> AsyncIterator[Callable[..., VariantService]]:
    """Makes variant services, each like that of a separate process; drains all at the end."""
    made: list[VariantService] = []

    def make(**changes: Any) -> VariantService:
        options = {"temporary": temporary, "timeout": 5, "memory_cache_bytes": 1 << 20, "missing_ttl": 60} | changes
        made.append(VariantService(store, changes.pop("pool", pool), recipes, metrics, **options))
        return made[-1]

    yield make
    for variant_service in made:
        await variant_service.drain()


@pytest.fixture
def variant_service(make: Callable[..., VariantService]) -> VariantService:
    return make()
