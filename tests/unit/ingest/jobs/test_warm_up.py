"""A warm-up from its claim to its end, with real pictures and render processes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs.queue.retries import deliver
from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.warm_up import WarmUp
from ingest.records import JobStatus, Upload, VariantState, WarmedVariant
from ingest.uploads.upload_service import UploadService
from proxy.imaging.limits import Limits
from proxy.keys import original_key, variant_key
from proxy.model import Fit, Format, Size, Sizes, UploadId, new_upload_id
from proxy.recipe import Recipes
from proxy.rendering.pool import RenderPool
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, accepted, picture
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import eventually, reached

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.heavy]

PENDING, PROCESSING, COMPLETE, FAILED = JobStatus
NAMES = [variant.name for variant in SIZES.standard]


@pytest_asyncio.fixture(loop_scope="module")
async def upload(uploads: UploadService) -> Upload:
    return await uploads.receive(chunks_of(picture(format="png")))


async def status(repository: WatchedRepository, upload_id: UploadId) -> tuple[JobStatus, int, str | None]:
    _, job = await repository.find(upload_id)
    return job.status, job.progress, job.error


async def sizes_in(store: CountingStore, upload_id: UploadId) -> dict[str, int]:
    """Stored variants by name."""
    prefix = f"images/{upload_id}/"
    return {info.key.removeprefix(prefix): info.size async for info in store.inner.list(prefix)}


class TestComplete:
    async def test_job_completes(self, warmup: WarmUp, repository: WatchedRepository, upload: Upload) -> None:
        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)

    async def test_every_standard_variant_is_stored_and_recorded(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        await deliver(warmup.run, upload.upload_id)

        known = (await repository.find(upload.upload_id))[0].variants
        assert sorted(known) == sorted(NAMES)
        assert {name: variant.bytes for name, variant in known.items()} == await sizes_in(store, upload.upload_id)
        assert {variant.state for variant in known.values()} == {VariantState.STORED}
        assert [known[name].url for name in NAMES] == [f"/images/{upload.upload_id}/{name}" for name in NAMES]
        assert all(0 < variant.milliseconds < 20_000 for variant in known.values() if variant.milliseconds is not None)
        assert None not in {variant.milliseconds for variant in known.values()}

    async def test_warmed_and_requested_variants_have_the_same_bytes(
        self,
        warmup: WarmUp,
        uploads: UploadService,
        variant_service: VariantService,
        store: CountingStore,
        upload: Upload,
    ) -> None:
        asked = await uploads.receive(chunks_of(picture(format="png")))
        await deliver(warmup.run, upload.upload_id)

        for variant in SIZES.standard:
            fetched = await variant_service.fetch(asked.upload_id, variant)
            assert fetched.tier is Tier.DERIVED
            stored = await store.inner.get(variant_key(upload.upload_id, variant))
            assert stored.body == fetched.encoded.body
            assert stored.info.metadata["recipe"] == fetched.encoded.recipe
            assert stored.info.content_type == variant.format.media_type

    @pytest.mark.heavy
    async def test_progress_grows_with_each_variant(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        await deliver(warmup.run, upload.upload_id)

        assert repository.progress == [12, 25, 37, 50, 62, 75, 87, 100]
        stored = [{n for n, v in seen.items() if v.state is VariantState.STORED} for seen in repository.recorded]
        assert [len(names) for names in stored] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert all(earlier < later for earlier, later in pairwise(stored))
        waiting = [v for seen in repository.recorded for v in seen.values() if v.state is VariantState.WAITING]
        assert {(variant.bytes, variant.milliseconds) for variant in waiting} == {(None, None)}

    async def test_recorded_variants_are_in_the_store(
        self, database: Database, variant_service: VariantService, store: CountingStore, upload: Upload
    ) -> None:
        class Suspicious(JobRepository):
            async def record(self, upload_id: UploadId, progress: int, variants: Mapping[str, WarmedVariant]) -> None:
                there = await sizes_in(store, upload_id)
                known = {n: v.bytes for n, v in variants.items() if v.state is VariantState.STORED}
                assert known == {name: there.get(name) for name in known}
                await super().record(upload_id, progress, variants)

        warmup = WarmUp(Suspicious(database), variant_service, SIZES)

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

    async def test_original_is_fetched_and_decoded_once(
        self, warmup: WarmUp, store: CountingStore, pool: RenderPool, upload: Upload
    ) -> None:
        before = pool._idle[0].requests

        await deliver(warmup.run, upload.upload_id)

        assert store.count("download") == 1
        assert pool._idle[0].requests == before + 1

    async def test_variants_made_by_requests_count(
        self,
        warmup: WarmUp,
        variant_service: VariantService,
        repository: WatchedRepository,
        store: CountingStore,
        upload: Upload,
    ) -> None:
        variant = SIZES.standard[3]
        await variant_service.fetch(upload.upload_id, variant)
        await variant_service.drain()
        puts = store.count("put")

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

        known = (await repository.find(upload.upload_id))[0].variants
        assert known[variant.name].state is VariantState.STORED
        assert known[variant.name].milliseconds is None
        assert known[variant.name].bytes == (await sizes_in(store, upload.upload_id))[variant.name]
        assert store.count("put") == puts + len(NAMES) - 1

    @pytest.mark.heavy
    async def test_measured_quality_is_recorded_for_any_variant(
        self, variant_service: VariantService, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        sizes = Sizes(Size("card", 110, 100, Fit.COVER, auto_quality=True))
        asked = next(variant for variant in sizes.standard if variant.format is Format.WEBP)
        await variant_service.fetch(upload.upload_id, asked)
        await variant_service.drain()

        assert await deliver(WarmUp(repository, variant_service, sizes).run, upload.upload_id) is COMPLETE

        known = (await repository.find(upload.upload_id))[0].variants
        for variant in sizes.standard:
            metadata = (await store.inner.head(variant_key(upload.upload_id, variant))).metadata
            measured = (known[variant.name].quality, known[variant.name].score)
            if variant.format is Format.PNG:
                assert measured == (None, None)
                assert not metadata.keys() & {"quality", "score"}
            else:
                assert measured == (int(metadata["quality"]), float(metadata["score"]))
                assert measured[1] >= 80


class TestAgain:
    @pytest.mark.heavy
    async def test_complete_upload_renders_nothing_and_keeps_records(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, pool: RenderPool, upload: Upload
    ) -> None:
        await deliver(warmup.run, upload.upload_id)
        known = (await repository.find(upload.upload_id))[0].variants
        before = store.count("put"), store.count("download"), pool._idle[0].requests

        assert await deliver(warmup.run, upload.upload_id, force=True) is COMPLETE

        assert (store.count("put"), store.count("download"), pool._idle[0].requests) == before
        assert (await repository.find(upload.upload_id))[0].variants == known
        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)

    async def test_only_missing_variants_are_derived(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        await deliver(warmup.run, upload.upload_id)
        known = (await repository.find(upload.upload_id))[0].variants
        await store.inner.delete(f"images/{upload.upload_id}/tiny.webp")
        store.calls.clear()

        assert await deliver(warmup.run, upload.upload_id, force=True) is COMPLETE

        assert [key for method, key in store.calls if method == "put"] == [f"images/{upload.upload_id}/tiny.webp"]
        again = (await repository.find(upload.upload_id))[0].variants
        assert {name: again[name] for name in NAMES if name != "tiny.webp"} == {
            name: known[name] for name in NAMES if name != "tiny.webp"
        }

    async def test_failed_job_can_be_repeated(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        original = (await store.inner.get(original_key(upload.upload_id))).body
        await store.inner.put(original_key(upload.upload_id), b"damaged", content_type="image/png")
        assert await deliver(warmup.run, upload.upload_id) is FAILED
        await store.inner.put(original_key(upload.upload_id), original, content_type="image/png")

        assert await deliver(warmup.run, upload.upload_id, force=True) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)


class TestFailed:
    async def test_corrupt_original_fails_with_its_message(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        await store.inner.put(original_key(upload.upload_id), picture()[:-700], content_type="image/jpeg")

        assert await deliver(warmup.run, upload.upload_id) is FAILED

        sentence = "The file is truncated or damaged. Export it again."
        assert await status(repository, upload.upload_id) == (FAILED, 0, sentence)
        assert (await repository.find(upload.upload_id))[0].variants == upload.variants
        assert await store.keys() == [original_key(upload.upload_id)]

    async def test_missing_original_fails(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        await store.inner.delete(original_key(upload.upload_id))  # directly in the store, so the rows stay

        assert await deliver(warmup.run, upload.upload_id) is FAILED

        status_, progress, sentence = await status(repository, upload.upload_id)
        assert (status_, progress) == (FAILED, 0)
        assert sentence
        assert await store.keys() == []

    async def test_variants_made_by_requests_are_kept(
        self, warmup: WarmUp, variant_service: VariantService, store: CountingStore, upload: Upload
    ) -> None:
        await variant_service.fetch(upload.upload_id, SIZES.standard[5])
        await variant_service.drain()
        await store.inner.put(original_key(upload.upload_id), b"damaged", content_type="image/jpeg")

        assert await deliver(warmup.run, upload.upload_id) is FAILED

        assert list(await sizes_in(store, upload.upload_id)) == [NAMES[5]]


class TestRetried:
    @pytest.mark.heavy
    @pytest.mark.parametrize("method", ["put", "download", "head"])
    async def test_single_store_error_is_retried(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload, method: str
    ) -> None:
        store.fail(method)

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)
        assert sorted(await sizes_in(store, upload.upload_id)) == sorted(NAMES)


class TestStopped:
    @pytest.mark.heavy
    async def test_cancelled_job_is_pending_again(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("put", done=True)
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run

        assert await status(repository, upload.upload_id) == (PENDING, 0, None)
        assert await repository.next_pending() == upload.upload_id
        gate.open()
        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

    async def test_cancelled_before_claim_leaves_the_job_alone(
        self, warmup: WarmUp, repository: WatchedRepository, database: Database, upload: Upload
    ) -> None:
        gate = repository.hold("advance")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await JobRepository(database).advance(upload.upload_id, expect=PENDING, to=PROCESSING)
        run.cancel()
        gate.open()

        with pytest.raises(asyncio.CancelledError):
            await run

        assert (await status(repository, upload.upload_id))[0] is PROCESSING

    async def test_cancelled_after_losing_the_job_ends(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("put")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await repository.recover()
        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run

        assert await status(repository, upload.upload_id) == (PENDING, 0, None)
        gate.open()

    async def test_cancelled_during_database_outage_ends(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("put")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        repository.fail("advance")
        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run
        gate.open()


class TestClaims:
    @pytest.mark.heavy
    async def test_exclusive_delivery_takes_over_processing_job(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, progress=40)

        assert await warmup.run(Delivery(upload.upload_id, exclusive=True)) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)
        assert repository.progress == sorted(repository.progress)
        assert repository.progress[0] == 40

    @pytest.mark.parametrize("found", [COMPLETE, FAILED])
    async def test_exclusive_delivery_does_not_repeat_ended_job(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload, found: JobStatus
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING)
        await repository.advance(upload.upload_id, expect=PROCESSING, to=found)
        store.calls.clear()

        assert await warmup.run(Delivery(upload.upload_id, exclusive=True)) is None

        assert store.calls == []

    async def test_forced_delivery_takes_over_stalled_job(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, progress=40)

        assert await warmup.run(Delivery(upload.upload_id, force=True)) is None
        monkeypatch.setattr("ingest.records.STALLED_AFTER", timedelta(0))
        assert await warmup.run(Delivery(upload.upload_id)) is None
        assert await warmup.run(Delivery(upload.upload_id, force=True)) is COMPLETE

    async def test_progress_is_reported_to_the_queue(self, warmup: WarmUp, upload: Upload) -> None:
        heard: list[int] = []

        async def report(progress: int) -> None:
            heard.append(progress)

        await warmup.run(Delivery(upload.upload_id, report=report))

        assert heard == [12, 25, 37, 50, 62, 75, 87, 100]


class TestLeases:
    @pytest.mark.heavy
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
        await store.inner.put(original_key(upload_id), picture(), content_type="image/jpeg")
        variant_service = VariantService(
            store,
            pool,
            Recipes(Settings(data_dir=tmp_path)),
            Metrics(),
            leases=lock,
            temporary=tmp_path,
            timeout=20,
            memory_cache_bytes=0,
            missing_ttl=60,
        )

        assert await deliver(WarmUp(repository, variant_service, SIZES).run, upload_id) is COMPLETE
        await variant_service.drain()

        known = (await repository.find(upload_id))[0].variants
        assert store.count("download") == 1
        assert None not in {variant.milliseconds for variant in known.values()}


class TestLost:
    @pytest.mark.parametrize("found", [PROCESSING, COMPLETE, FAILED])
    async def test_unclaimable_job_is_left_alone(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload, found: JobStatus
    ) -> None:
        await repository.advance(upload.upload_id, expect=PENDING, to=PROCESSING, progress=42)
        if found is not PROCESSING:
            await repository.advance(upload.upload_id, expect=PROCESSING, to=found)
        before = await repository.find(upload.upload_id)
        store.calls.clear()

        assert await deliver(warmup.run, upload.upload_id) is None

        assert await repository.find(upload.upload_id) == before
        assert store.calls == []

    async def test_unknown_upload_returns_none(self, warmup: WarmUp, store: CountingStore) -> None:
        assert await deliver(warmup.run, new_upload_id()) is None
        assert store.calls == []

    async def test_upload_in_progress_returns_none(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore
    ) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)

        assert await deliver(warmup.run, upload_id) is None

        assert store.calls == []
        await repository.accept(accepted(upload_id))  # the first upload left no row

    @pytest.mark.promise("E5")
    async def test_concurrent_runs_let_one_claim(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        results = await asyncio.gather(*(deliver(warmup.run, upload.upload_id) for _ in range(2)))

        assert sorted(results, key=str) == [None, COMPLETE]
        assert repository.progress == [12, 25, 37, 50, 62, 75, 87, 100]
        assert store.count("download") == 1

    async def test_job_lost_during_work_is_abandoned(
        self, warmup: WarmUp, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        gate = repository.hold("record")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        before = set(await sizes_in(store, upload.upload_id))
        await repository.recover()
        gate.open()

        assert await run is None
        assert await status(repository, upload.upload_id) == (PENDING, 0, None)
        assert before <= set(await sizes_in(store, upload.upload_id))  # what is stored is valid for the next worker


class TestDeletedMeanwhile:
    async def test_deleted_while_recording_leaves_nothing(
        self,
        warmup: WarmUp,
        uploads: UploadService,
        repository: WatchedRepository,
        store: CountingStore,
        upload: Upload,
    ) -> None:
        gate = repository.hold("record")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await uploads.delete(upload.upload_id)
        gate.open()

        assert await run is None
        assert await store.keys() == []

    @pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
    async def test_deleted_while_storing_leaves_nothing(
        self, warmup: WarmUp, uploads: UploadService, store: CountingStore, upload: Upload, done: bool
    ) -> None:
        gate = store.hold("put", done=done)
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await uploads.delete(upload.upload_id)
        gate.open()

        assert await run is None
        assert await store.keys() == []

    async def test_deleted_while_fetching_leaves_nothing(
        self, warmup: WarmUp, uploads: UploadService, store: CountingStore, upload: Upload
    ) -> None:
        gate = store.hold("download")
        run = asyncio.create_task(deliver(warmup.run, upload.upload_id))
        await reached(gate, run)
        await uploads.delete(upload.upload_id)
        gate.open()

        assert await run is None
        assert await store.keys() == []


class TestWhileTheDatabaseIsAway:
    @pytest_asyncio.fixture(loop_scope="module")
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

    @pytest.mark.heavy
    async def test_blocked_recording_holds_no_render_process(
        self, impatient: VariantService, uploads: UploadService, repository: WatchedRepository, upload: Upload
    ) -> None:
        other = await uploads.receive(chunks_of(picture()))
        repository.fail("record")
        run = asyncio.create_task(deliver(WarmUp(repository, impatient, SIZES).run, upload.upload_id))
        try:
            await repository.called("record")

            fetched = await impatient.fetch(other.upload_id, SIZES.standard[0])
            assert fetched.tier is Tier.DERIVED

            repository.fail("record", 0)
            assert await run is COMPLETE
        finally:
            await eventually(run)

    @pytest.mark.heavy
    async def test_job_ends_once_the_database_is_back(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        repository.fail("record", 1)

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

        assert await status(repository, upload.upload_id) == (COMPLETE, 100, None)
        assert repository.progress[-1] == 100
