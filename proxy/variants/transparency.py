"""Whether an upload has transparency: decides between PNG and JPEG for clients without AVIF and WebP."""

from dataclasses import replace

from cachetools import LRUCache

from proxy.errors import UnknownUpload
from proxy.keys import original_key
from proxy.model import Format, UploadId, Variant
from proxy.storage.object_store import ObjectNotFound, ObjectStore
from proxy.variants.variant_service import VariantService

_MAX_KNOWN = 10_000  # entries of some hundred bytes each
_COLOR_TYPE, _WITH_ALPHA = 25, (4, 6)  # offset in a PNG's IHDR, and the values with alpha (ISO 15948, 11.2.2)


class Transparency:
    """Remembers the result for each upload and size: a JPEG is opaque; of others, the PNG variant's header is read."""

    def __init__(self, store: ObjectStore, variant_service: VariantService) -> None:
        self._store = store
        self._variant_service = variant_service
        self._known: LRUCache[tuple[UploadId, str], bool] = LRUCache(_MAX_KNOWN)

    async def is_transparent(self, upload_id: UploadId, variant: Variant) -> bool:
        """Whether the image has transparency. Raises as `VariantService.fetch` does."""
        key = (upload_id, variant.size_name)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = await self._inspect(upload_id, variant)
        return known

    async def _inspect(self, upload_id: UploadId, variant: Variant) -> bool:
        try:
            original = await self._store.head(original_key(upload_id))
        except ObjectNotFound:
            raise UnknownUpload("No picture was uploaded under this id, or it was deleted.") from None
        if original.content_type == Format.JPG.media_type:
            return False
        png = await self._variant_service.fetch(upload_id, replace(variant, format=Format.PNG))
        return png.encoded.body[_COLOR_TYPE] in _WITH_ALPHA
