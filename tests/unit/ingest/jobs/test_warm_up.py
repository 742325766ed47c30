"""A warm-up from its claim to its end, with real pictures and render workers."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from PIL import Image

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.records import Upload, VariantState, WarmedVariant
from ingest.uploads.upload_service import UploadService
from proxy.keys import original_key, variant_key
from proxy.model import Fit, Format, Size, Sizes, UploadId
from proxy.rendering.pool import RenderPool
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests import pictures
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, image_bytes
from tests.unit.ingest.jobs.warmed import COMPLETE, FAILED, NAMES, STANDARD, sizes_in, status
from tests.unit.ingest.render_processes import idle_process
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.heavy]


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
        asked = await uploads.receive(chunks_of(image_bytes(format="png")))
        await deliver(warmup.run, upload.upload_id)

        for variant in STANDARD:
            fetched = await variant_service.fetch(asked.upload_id, variant)
            assert fetched.tier is Tier.DERIVED
            stored = await store.inner.get(variant_key(upload.upload_id, variant))
            assert stored.body == fetched.encoded.body
            assert stored.info.metadata["recipe"] == fetched.encoded.recipe
            assert stored.info.content_type == variant.format.media_type

    @pytest.mark.parametrize("format", ["png", "webp"])
    @pytest.mark.parametrize(("alpha", "fallback"), [(255, "jpg"), (0, "png")], ids=["opaque alpha", "transparent"])
    async def test_fallback_of_an_original_with_an_alpha_channel_depends_on_transparency(
        self, warmup: WarmUp, uploads: UploadService, store: CountingStore, *, format: str, alpha: int, fallback: str
    ) -> None:
        image = Image.new("RGBA", (120, 110), "teal")
        image.paste((200, 30, 30, alpha), (10, 10, 40, 40))
        upload = await uploads.receive(chunks_of({"png": pictures.png, "webp": pictures.webp}[format](image)))

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

        names = {f"{size}.{format}" for size in SIZES for format in (fallback, "webp", "avif")}
        assert set(await sizes_in(store, upload.upload_id)) == names

    async def test_formats_of_a_size_are_stored_and_no_others(
        self, variant_service: VariantService, repository: WatchedRepository, store: CountingStore, upload: Upload
    ) -> None:
        sizes = Sizes(
            Size("tiny", 24, 24, Fit.COVER, warm=(Format.PNG,)),
            Size("small", 48, 48, Fit.COVER, warm=()),
        )

        assert await deliver(WarmUp(repository, variant_service, sizes).run, upload.upload_id) is COMPLETE

        assert list(await sizes_in(store, upload.upload_id)) == ["tiny.png"]
        assert list((await repository.find(upload.upload_id))[0].variants) == ["tiny.png"]
        assert repository.progress == [100]
        for variant in sizes.variants:
            assert (await variant_service.fetch(upload.upload_id, variant)).encoded.body

    @pytest.mark.heavy
    async def test_progress_grows_with_each_variant(
        self, warmup: WarmUp, repository: WatchedRepository, upload: Upload
    ) -> None:
        await deliver(warmup.run, upload.upload_id)

        assert repository.progress == [16, 33, 50, 66, 83, 100]
        stored = [{n for n, v in seen.items() if v.state is VariantState.STORED} for seen in repository.recorded]
        assert [len(names) for names in stored] == [1, 2, 3, 4, 5, 6]
        assert all(earlier < later for earlier, later in pairwise(stored))
        waiting = [v for seen in repository.recorded for v in seen.values() if v.state is VariantState.WAITING]
        assert {(variant.bytes, variant.milliseconds) for variant in waiting} == {(None, None)}

    async def test_recorded_variants_are_in_the_store(
        self, database: Database, variant_service: VariantService, store: CountingStore, upload: Upload
    ) -> None:
        class Suspicious(JobRepository):
            async def record(
                self,
                upload_id: UploadId,
                progress: int,
                variants: Mapping[str, WarmedVariant],
                worker: str | None = None,
            ) -> None:
                there = await sizes_in(store, upload_id)
                known = {n: v.bytes for n, v in variants.items() if v.state is VariantState.STORED}
                assert known == {name: there.get(name) for name in known}
                await super().record(upload_id, progress, variants, worker)

        warmup = WarmUp(Suspicious(database), variant_service, SIZES)

        assert await deliver(warmup.run, upload.upload_id) is COMPLETE

    async def test_original_is_fetched_and_decoded_once(
        self, warmup: WarmUp, store: CountingStore, pool: RenderPool, upload: Upload
    ) -> None:
        process = await idle_process(pool)
        before = process.requests

        await deliver(warmup.run, upload.upload_id)

        assert store.count("download") == 1
        assert process.requests == before + 1

    async def test_variants_made_by_requests_count(
        self,
        warmup: WarmUp,
        variant_service: VariantService,
        repository: WatchedRepository,
        store: CountingStore,
        upload: Upload,
    ) -> None:
        variant = STANDARD[3]
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
        sizes = Sizes(Size("card", 110, 100, Fit.COVER, auto_quality=True, warm=tuple(Format)))
        asked = next(variant for variant in sizes.variants if variant.format is Format.WEBP)
        await variant_service.fetch(upload.upload_id, asked)
        await variant_service.drain()

        assert await deliver(WarmUp(repository, variant_service, sizes).run, upload.upload_id) is COMPLETE

        known = (await repository.find(upload.upload_id))[0].variants
        for variant in sizes.variants:
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
        process = await idle_process(pool)
        before = store.count("put"), store.count("download"), process.requests

        assert await deliver(warmup.run, upload.upload_id, force=True) is COMPLETE

        assert (store.count("put"), store.count("download"), process.requests) == before
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
        await store.inner.put(original_key(upload.upload_id), image_bytes()[:-700], content_type="image/jpeg")

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
        await variant_service.fetch(upload.upload_id, STANDARD[5])
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
