"""VariantStore: headers and metadata, and no variant outlives its original."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable, UnknownUpload
from proxy.keys import original_key, variant_key
from proxy.model import Fit, Format, Size, UploadId, Variant, new_upload_id
from proxy.storage.disk import DiskStore
from proxy.storage.object_store import ObjectExists
from proxy.telemetry import Metrics
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.variant_store import VariantStore
from tests.fakes import CountingStore

MEDIUM = Size("medium", 400, 400, Fit.COVER)


def encoded(upload_id: UploadId, variant: Variant, body: bytes = b"a picture") -> EncodedVariant:
    return EncodedVariant.from_rendering(upload_id, variant, body, "a1b2c3")


@pytest.fixture
def variants(store: CountingStore, metrics: Metrics) -> VariantStore:
    return VariantStore(store, metrics)


class TestPut:
    @pytest.mark.parametrize(
        ("format", "media_type"),
        [("jpg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp"), ("avif", "image/avif")],
    )
    async def test_object_has_the_documented_headers_and_metadata(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, format: str, media_type: str
    ) -> None:
        variant = Variant(MEDIUM, Format(format), 3)

        await variants.put(upload_id, variant, encoded(upload_id, variant))

        stored = await store.inner.get(f"images/{upload_id}/medium@3x.{format}")
        assert stored.body == b"a picture"
        assert stored.info.content_type == media_type
        assert stored.info.cache_control == "public, max-age=31536000, immutable"
        assert stored.info.metadata == {
            "recipe": "a1b2c3",
            "cache-tag": f"upload-{upload_id},size-medium@3x,recipe-a1b2c3",
            "md5": hashlib.md5(b"a picture").hexdigest(),
        }

    async def test_put_replaces_unless_if_absent(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        for body in (b"first", b"second"):
            await variants.put(upload_id, variant, encoded(upload_id, variant, body))

        with pytest.raises(ObjectExists):
            await variants.put(upload_id, variant, encoded(upload_id, variant, b"third"), if_absent=True)

        assert (await store.inner.get(variant_key(upload_id, variant))).body == b"second"

    async def test_put_after_the_original_was_deleted_writes_nothing(
        self, variants: VariantStore, store: CountingStore, variant: Variant
    ) -> None:
        upload_id = new_upload_id()

        with pytest.raises(UnknownUpload):
            await variants.put(upload_id, variant, encoded(upload_id, variant))

        assert store.count("put") == 0
        assert await store.keys() == []

    async def test_put_while_the_original_is_deleted_leaves_nothing(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        gate = store.hold("put")
        putting = asyncio.create_task(variants.put(upload_id, variant, encoded(upload_id, variant)))
        await gate.reached.wait()

        await store.inner.delete(original_key(upload_id))
        await variants.delete(upload_id)
        gate.open()

        with pytest.raises(UnknownUpload):
            await putting
        assert await store.keys() == []

    @pytest.mark.parametrize("done", [False, True], ids=["before it is stored", "before it is known to be"])
    async def test_cancelled_put_does_not_outlive_the_original(
        self, *, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant, done: bool
    ) -> None:
        gate = store.hold("put", done=done)
        putting = asyncio.create_task(variants.put(upload_id, variant, encoded(upload_id, variant)))
        await gate.reached.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting

        await store.inner.delete(original_key(upload_id))
        gate.open()
        await variants.drain()

        assert await store.keys() == []

    async def test_store_failure_raises(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        store.fail("put")

        with pytest.raises(StoreUnavailable):
            await variants.put(upload_id, variant, encoded(upload_id, variant))


class TestFind:
    async def test_stored_variant_is_found(self, variants: VariantStore, upload_id: UploadId, variant: Variant) -> None:
        await variants.put(upload_id, variant, encoded(upload_id, variant))

        found = await variants.find(upload_id, variant)
        info = await variants.look_up(upload_id, variant)

        assert found is not None
        assert (found.body, found.recipe, found.format) == (b"a picture", "a1b2c3", Format.WEBP)
        assert info is not None
        assert (info.size, info.metadata["recipe"]) == (9, "a1b2c3")

    async def test_missing_variant_is_none(self, variants: VariantStore, upload_id: UploadId, variant: Variant) -> None:
        assert await variants.find(upload_id, variant) is None
        assert await variants.look_up(upload_id, variant) is None

    async def test_store_failure_is_not_a_missing_variant(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        store.fail("get")
        store.fail("head")

        with pytest.raises(StoreUnavailable):
            await variants.find(upload_id, variant)
        with pytest.raises(StoreUnavailable):
            await variants.look_up(upload_id, variant)


class TestDelete:
    async def test_delete_removes_given_variants_or_all(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId
    ) -> None:
        other = new_upload_id()
        await store.inner.put(original_key(other), b"", content_type="image/jpeg")
        jpg, png, webp = (Variant(MEDIUM, format) for format in (Format.JPG, Format.PNG, Format.WEBP))
        for owner in (upload_id, other):
            for variant in (jpg, png, webp):
                await variants.put(owner, variant, encoded(owner, variant))

        await variants.delete(upload_id, png)
        assert await store.keys(f"images/{upload_id}") == [variant_key(upload_id, each) for each in (jpg, webp)]

        await variants.delete(upload_id)
        await variants.delete(upload_id)
        assert await store.keys(f"images/{upload_id}") == []
        assert len(await store.keys(f"images/{other}/")) == 3
        assert original_key(upload_id) in await store.keys("originals/")


class TestDamaged:
    """Truncated or altered objects, which caches would keep for a year."""

    @pytest.mark.promise("C9")
    @pytest.mark.parametrize("damage", [b"a pict", b"a pikture", b""])
    async def test_damaged_variant_is_none_and_is_removed(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant, damage: bytes
    ) -> None:
        right = encoded(upload_id, variant)
        await variants.put(upload_id, variant, right)
        key = variant_key(upload_id, variant)
        await store.inner.put(key, damage, content_type="image/webp", metadata=right.metadata)

        assert await variants.find(upload_id, variant) is None

        await variants.put(upload_id, variant, right, if_absent=True)
        found = await variants.find(upload_id, variant)
        assert found is not None
        assert found.body == b"a picture"

    async def test_damaged_variant_that_cannot_be_removed_is_none(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        metadata = encoded(upload_id, variant).metadata
        await store.inner.put(variant_key(upload_id, variant), b"half", content_type="image/webp", metadata=metadata)
        store.fail("delete")

        assert await variants.find(upload_id, variant) is None

    async def test_variant_without_digest_is_served(
        self, variants: VariantStore, store: CountingStore, upload_id: UploadId, variant: Variant
    ) -> None:
        await store.inner.put(
            variant_key(upload_id, variant), b"old", content_type="image/webp", metadata={"recipe": "a1b2c3"}
        )

        found = await variants.find(upload_id, variant)
        assert found is not None
        assert found.body == b"old"

    async def test_malformed_file_is_none(
        self, metrics: Metrics, upload_id: UploadId, variant: Variant, tmp_path: Path
    ) -> None:
        disk = DiskStore(tmp_path)
        variants = VariantStore(disk, metrics)
        await disk.put(original_key(upload_id), b"an original", content_type="image/jpeg")
        right = encoded(upload_id, variant)
        await variants.put(upload_id, variant, right)
        (tmp_path / variant_key(upload_id, variant)).write_bytes(bytes(100))

        assert await variants.look_up(upload_id, variant) is None
        assert await variants.find(upload_id, variant) is None
        await variants.put(upload_id, variant, right, if_absent=True)
        assert await variants.find(upload_id, variant) is not None
