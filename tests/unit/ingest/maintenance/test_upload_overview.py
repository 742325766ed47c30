"""The overview of an upload from catalog and store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ingest.maintenance.upload_overview import Overview
from ingest.records import VariantState, WarmedVariant
from proxy.errors import UnknownUpload
from proxy.keys import original_key, variants_prefix
from proxy.model import UploadId, new_upload_id
from proxy.recipe import Recipes
from proxy.settings import Settings
from tests.fakes import CountingStore
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

CDN = "https://cdn.example"
NOTHING_STORED: Mapping[str, Any] = {
    "state": "waiting",
    "bytes": None,
    "quality": None,
    "score": None,
    "recipe": None,
    "stale": None,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tiny = {"width": 24, "height": 24}
    return Settings(data_dir=tmp_path, cdn_url=CDN, sizes={"tiny": tiny})


@pytest.fixture
def overview(store: CountingStore, repository: WatchedRepository, settings: Settings) -> Overview:
    return Overview(store, repository, settings)


async def put(store: CountingStore, upload_id: UploadId, name: str, body: bytes, **metadata: str) -> None:
    await store.put(variants_prefix(upload_id) + name, body, content_type="image/jpeg", metadata=metadata)


async def test_overview_combines_catalog_and_store(
    overview: Overview, store: CountingStore, repository: WatchedRepository, settings: Settings
) -> None:
    upload = accepted()
    upload_id = upload.upload_id
    known = {"tiny.jpg": WarmedVariant("", VariantState.STORED, 1, 12.5), "tiny.webp": WarmedVariant("")}
    await repository.begin(upload_id)
    await repository.accept(accepted(upload_id, variants=known))
    await store.put(original_key(upload_id), b"original", content_type="image/jpeg")
    today = Recipes(settings).fingerprint(settings.sizes.parse("tiny.jpg"))
    await put(store, upload_id, "tiny.jpg", b"12345", recipe=today, quality="77", score="81.5")
    await put(store, upload_id, "tiny@2x.webp", b"123", recipe="of old")
    await put(store, upload_id, "bygone.jpg", b"1", recipe="of old")

    document = await overview.describe(upload_id)

    assert document["uploadId"] == upload_id
    assert (document["database"], document["original"]) == (True, True)
    assert (document["status"], document["progress"], document["error"]) == ("pending", 0, None)
    assert document["dimensions"] == {"width": upload.width, "height": upload.height}
    assert document["urls"]["tiny"]["avif"] == f"{CDN}/images/{upload_id}/tiny.avif"
    variants = document["variants"]
    assert list(variants) == ["tiny.jpg", "tiny.webp", "tiny.avif", "bygone.jpg", "tiny@2x.webp"]
    assert variants["tiny.jpg"] == {
        "state": "stored",
        "bytes": 5,
        "milliseconds": 12.5,
        "quality": 77,
        "score": 81.5,
        "recipe": today,
        "stale": False,
        "url": f"{CDN}/images/{upload_id}/tiny.jpg",
    }
    assert variants["tiny.webp"] == {
        **NOTHING_STORED,
        "milliseconds": None,
        "url": f"{CDN}/images/{upload_id}/tiny.webp",
    }
    assert (variants["tiny@2x.webp"]["stale"], variants["tiny@2x.webp"]["bytes"]) == (True, 3)
    assert variants["tiny@2x.webp"]["url"] == f"{CDN}/images/{upload_id}/tiny@2x.webp"
    assert (variants["bygone.jpg"]["stale"], variants["bygone.jpg"]["url"]) == (True, None)


async def test_standard_variants_of_a_transparent_upload_are_shown(
    overview: Overview, repository: WatchedRepository
) -> None:
    upload = accepted(format="png", alpha=True)
    await repository.begin(upload.upload_id)
    await repository.accept(upload)

    assert list((await overview.describe(upload.upload_id))["variants"]) == ["tiny.png", "tiny.webp", "tiny.avif"]


async def test_variant_missing_in_the_store_is_waiting(overview: Overview, repository: WatchedRepository) -> None:
    upload = accepted(variants={"tiny.jpg": WarmedVariant("", VariantState.STORED, 1, 12.5)})
    await repository.begin(upload.upload_id)
    await repository.accept(upload)

    document = await overview.describe(upload.upload_id)

    assert (document["database"], document["original"]) == (True, False)
    assert document["variants"]["tiny.jpg"]["state"] == "waiting"


async def test_upload_known_to_the_store_only_is_shown(overview: Overview, store: CountingStore) -> None:
    upload_id = new_upload_id()
    created = "2020-02-20T12:00:00+00:00"
    await store.put(original_key(upload_id), b"original", content_type="image/png", metadata={"created": created})
    await put(store, upload_id, "tiny.jpg", b"12345", recipe="of old")

    document = await overview.describe(upload_id)

    assert (document["database"], document["original"]) == (False, True)
    assert (document["status"], document["format"], document["originalSize"]) == (None, "png", 8)
    assert document["createdAt"] == created
    assert document["variants"]["tiny.jpg"]["stale"] is True


async def test_upload_with_leftover_variants_only_is_unknown(overview: Overview, store: CountingStore) -> None:
    upload_id = new_upload_id()
    await put(store, upload_id, "tiny.jpg", b"12345")

    with pytest.raises(UnknownUpload):
        await overview.describe(upload_id)


async def test_overview_has_the_focus_of_the_original(
    overview: Overview, store: CountingStore, repository: WatchedRepository
) -> None:
    """Variants follow the original, also after an older backup of the database was restored."""
    upload_id = new_upload_id()
    await repository.begin(upload_id)
    await repository.accept(accepted(upload_id, focus="0,0"))
    assert (await overview.describe(upload_id))["focus"] == "0,0"

    await store.put(original_key(upload_id), b"x", content_type="image/jpeg", metadata={"focus": "0.3,0.7"})

    assert (await overview.describe(upload_id))["focus"] == "0.3,0.7"
