"""Variants with an outdated recipe."""

from proxy.keys import variant_key
from proxy.model import UploadId, Variant
from proxy.variants.encoded_variant import EncodedVariant
from tests.fakes import CountingStore


async def put_stale(store: CountingStore, upload_id: UploadId, variant: Variant) -> None:
    stale = EncodedVariant.from_rendering(upload_id, variant, b"of yesterday", "yesterday")
    await store.inner.put(
        variant_key(upload_id, variant),
        stale.body,
        content_type=variant.format.media_type,
        metadata=stale.metadata,
    )
