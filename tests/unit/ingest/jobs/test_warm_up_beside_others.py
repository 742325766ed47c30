"""A warm-up while leases are held, its upload is deleted, or the database is unavailable."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.records import Upload
from ingest.uploads.upload_service import UploadService
from proxy.imaging.limits import Limits
from proxy.keys import original_key
from proxy.model import new_upload_id
from proxy.recipe import Recipes
from proxy.rendering.pool import RenderPool
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, Gate
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, accepted, image_bytes
from tests.unit.ingest.jobs.warmed import COMPLETE, status
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import cancel_and_wait, reached

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.heavy]


class TestLeases:
    async def test_variants_of_one_upload_do_not_block_each_other(
        self, pool: RenderPool, repository: WatchedRepository, store: CountingStore, tmp_path: Path
    ) -> None:
        """Lease keys of one warm-up must not collide, which would cost a second decode."""
        lock = FileLeaseStore(tmp_path / "locks")
        upload_id = new_upload_id()
        async with AsyncExitStack() as leases:
            for number in range(300):
                assert await leases.enter_async_context(lock.hold(f"key {number}", wait=False))
        await repository.begin(upload_id)
        await repository.accept(accepted(upload_id))
        await store.inner.put(original_key(upload_id), image_bytes(), content_type="image/jpeg")
        variant_service = VariantService(
            store,
            pool,
            Recipes(Settings(data_dir=tmp_path)),
            Metrics(),
            leases=lock,
            temporary=tmp_path,
            timeout=60,
            memory_cache_bytes=0,
            missing_ttl=60,
        )

        assert await deliver(WarmUp(repository, variant_service, SIZES).run, upload_id) is COMPLETE
        await variant_service.drain()

        known = (await repository.find(upload_id))[0].variants
        assert store.count("download") == 1
        assert None not in {variant.milliseconds for variant in known.values()}


class TestDeletedMeanwhile:
    @pytest.mark.parametrize(
        "hold",
        [
            lambda _repository, store: store.hold("download"),
            lambda _repository, store: store.hold("put"),
            lambda _repository, store: store.hold("put", done=True),
            lambda repository, _store: repository.hold("record"),
        ],
        ids=["while fetching", "before storing", "after storing", "while recording"],
    )
    async def test_deleted_upload_leaves_nothing(
        self,
        *,
        warmup: WarmUp,
        uploads: UploadService,
        repository: WatchedRepository,
        store: CountingStore,
        upload: Upload,
        hold: Callable[[WatchedRepository, CountingStore], Gate],
    ) -> None:
        gate = hold(repository, store)
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await uploads.delete(upload.upload_id)
        gate.open()

        assert await run is None
        assert await store.keys() == []


class TestDatabaseOutage:
    @pytest_asyncio.fixture(loop_scope="session")
    async def impatient(self, store: CountingStore, tmp_path) -> AsyncIterator[VariantService]:
        """A service with one render process, whose requests wait 1.5 seconds at most."""
        pool = RenderPool(Limits(100, 1000), processes=1, memory_mb=2048, process_mb=2048, timeout=3, max_waiting=8)
        await pool.start()
        settings = Settings(data_dir=tmp_path)
        variant_service = VariantService(
            store,
            pool,
            Recipes(settings),
            Metrics(),
            temporary=tmp_path,
            timeout=3,
            memory_cache_bytes=0,
            missing_ttl=60,
        )
        yield variant_service
        await variant_service.drain()
        await pool.close()

    @pytest.mark.slow
    async def test_blocked_recording_holds_no_render_process(
        self, impatient: VariantService, uploads: UploadService, repository: WatchedRepository, upload: Upload
    ) -> None:
        other = await uploads.receive(chunks_of(image_bytes()))
        repository.fail("record")
        run = asyncio.create_task(deliver(WarmUp(repository, impatient, SIZES).run, upload.upload_id))
        try:
            await repository.called("record")

            fetched = await impatient.fetch(other.upload_id, SIZES.variants[0])
            assert fetched.tier is Tier.DERIVED

            repository.fail("record", 0)
            assert await run is COMPLETE
        finally:
            await cancel_and_wait(run)

    async def test_job_ends_once_the_database_is_back(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        repository.fail("record", 1)

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)
        assert repository.progress[-1] == 100
