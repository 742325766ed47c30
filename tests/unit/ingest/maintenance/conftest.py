"""One complete upload for the tests of garbage collection."""

from pathlib import Path

import pytest

from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.fakes import RecordingCdn
from tests.unit.ingest.maintenance.garbage_scene import Scene
from tests.unit.ingest.repositories import WatchedRepository


@pytest.fixture
async def scene(
    store: CountingStore,
    repository: WatchedRepository,
    variant_service: VariantService,
    cdn: RecordingCdn,
    temporary: Path,
) -> Scene:
    scene = Scene(store, repository, variant_service, cdn, temporary)
    await scene.upload(scene.whole)
    return scene
