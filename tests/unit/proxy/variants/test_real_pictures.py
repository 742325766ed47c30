"""The variant service with real render processes and photographs."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from proxy.errors import DerivationTimeout, Refused, Undecodable
from proxy.imaging.limits import Limits
from proxy.keys import original_key, variant_key
from proxy.model import Fit, Format, Size, Sizes, UploadId, Variant, new_upload_id
from proxy.recipe import Recipes
from proxy.rendering.pool import RenderPool
from proxy.telemetry import Metrics
from proxy.variants.results import Tier
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, sample
from tests.photographs import photograph_bytes

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = Sizes(
    Size("small", 150, 150, Fit.COVER),
    Size("wide", 300, None, Fit.INSIDE),
    Size("searched", 150, 150, Fit.COVER, auto_quality=True),
)
JPG = Variant(SIZES["small"], Format.JPG)


def new_pool() -> RenderPool:
    return RenderPool(
        Limits(100, 10_000), processes=1, memory_mb=2048, process_mb=2048, timeout=60, max_waiting=64, searches=True
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool() -> AsyncIterator[RenderPool]:
    pool = new_pool()
    await pool.start()
    yield pool
    await pool.close()


@pytest.fixture
def variant_service(
    pool: RenderPool, store: CountingStore, recipes: Recipes, metrics: Metrics, temporary: Path
) -> VariantService:
    return VariantService(
        store, pool, recipes, metrics, temporary=temporary, timeout=60, memory_cache_bytes=1 << 22, missing_ttl=60
    )


async def upload(store: CountingStore, body: bytes) -> UploadId:
    upload_id = new_upload_id()
    await store.inner.put(original_key(upload_id), body, content_type="image/jpeg")
    return upload_id


async def test_fetch_derives_the_requested_variant(variant_service: VariantService, store: CountingStore) -> None:
    upload_id = await upload(store, photograph_bytes("rocket.jpg"))

    answer = await variant_service.fetch(upload_id, JPG)
    await variant_service.drain()

    with Image.open(BytesIO(answer.encoded.body)) as image:
        assert (image.format, image.size) == ("JPEG", (150, 150))
    assert set(answer.timings) == {"decode", "resize", "encode"}
    assert (await store.inner.get(variant_key(upload_id, JPG))).body == answer.encoded.body


async def test_concurrent_fetches_share_one_derivation(
    variant_service: VariantService, store: CountingStore, metrics: Metrics
) -> None:
    upload_id = await upload(store, photograph_bytes("chelsea.png"))

    answers = await asyncio.gather(*(variant_service.fetch(upload_id, JPG) for _ in range(64)))
    await variant_service.drain()

    assert [answer.tier for answer in answers] == [Tier.DERIVED] + [Tier.COLLAPSED] * 63
    assert len({answer.encoded.body for answer in answers}) == 1
    assert sample(metrics, "darkroom_derivations_total", size="small", format="jpg", outcome="ok") == 1


@pytest.mark.heavy
async def test_ensure_and_fetch_produce_the_same_bytes(variant_service: VariantService, store: CountingStore) -> None:
    warmed, requested = [await upload(store, photograph_bytes("rocket.jpg")) for _ in range(2)]

    made = [one.variant async for one in variant_service.ensure(warmed, SIZES.variants)]
    for variant in SIZES.variants:
        await variant_service.fetch(requested, variant)
    await variant_service.drain()

    assert sorted(variant.name for variant in made) == sorted(variant.name for variant in SIZES.variants)
    for variant in SIZES.variants:
        by_warm_up = await store.inner.get(variant_key(warmed, variant))
        by_request = await store.inner.get(variant_key(requested, variant))
        assert by_warm_up.body == by_request.body, variant.name


@pytest.mark.parametrize(
    ("body", "failure"),
    [(photograph_bytes("chelsea.png")[:20_000], Undecodable), (b"not a picture at all", Refused)],
    ids=["truncated", "text"],
)
async def test_corrupt_original_is_refused_and_the_process_is_reused(
    variant_service: VariantService, store: CountingStore, pool: RenderPool, body: bytes, failure: type[Exception]
) -> None:
    broken, sound = await upload(store, body), await upload(store, photograph_bytes("chelsea.png"))
    [process] = pool._idle

    with pytest.raises(failure):
        await variant_service.fetch(broken, JPG)
    assert (await variant_service.fetch(sound, JPG)).tier is Tier.DERIVED
    await variant_service.drain()

    assert pool._idle == [process]
    assert not await store.keys(f"images/{broken}/")


@pytest.mark.slow
async def test_abandoned_ensure_frees_its_process(variant_service: VariantService, store: CountingStore) -> None:
    upload_id = await upload(store, photograph_bytes("rocket.jpg"))
    warm_up = variant_service.ensure(upload_id, SIZES.variants)
    await anext(warm_up)
    await warm_up.aclose()
    await asyncio.sleep(0)

    results = [await variant_service.fetch(upload_id, variant) for variant in SIZES.variants]
    await variant_service.drain()

    assert {result.tier for result in results} == {Tier.MEMORY, Tier.DERIVED}


@pytest.mark.heavy
async def test_slow_derivation_times_out_and_the_next_succeeds(
    store: CountingStore, recipes: Recipes, metrics: Metrics, temporary: Path
) -> None:
    impatient = new_pool()
    await impatient.start()
    settings = {"temporary": temporary, "memory_cache_bytes": 0, "missing_ttl": 60}
    late = VariantService(store, impatient, recipes, metrics, timeout=0.001, **settings)
    patient = VariantService(store, impatient, recipes, metrics, timeout=60, **settings)
    upload_id = await upload(store, photograph_bytes("retina.jpg"))

    with pytest.raises(DerivationTimeout):
        await late.fetch(upload_id, JPG)
    await late.drain()

    assert (await patient.fetch(upload_id, JPG)).tier is Tier.DERIVED
    await patient.drain()
    await impatient.close()
