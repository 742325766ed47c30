"""Whether a picture shows what is behind it, for those who take neither AVIF nor WebP."""

from dataclasses import replace

from cachetools import LRUCache

from proxy.errors import UnknownUpload
from proxy.keys import original_key
from proxy.model import Format, UploadId, Variant
from proxy.storage.object_store import ObjectNotFound, ObjectStore
from proxy.variants.variant_service import VariantService

_MAX_KNOWN = 10_000  # an entry weighs some hundred bytes
_COLOR_TYPE, _WITH_ALPHA = 25, (4, 6)  # of a PNG's header (ISO 15948, 11.2.2): where it stands, and its values


class Transparency:
    """Asks the store once for each upload: a JPEG hides everything, and of others the PNG variant tells."""

    def __init__(self, store: ObjectStore, variant_service: VariantService) -> None:
        self._store = store
        self._variant_service = variant_service
        self._known: LRUCache[tuple[UploadId, str], bool] = LRUCache(_MAX_KNOWN)

    async def of(self, upload_id: UploadId, variant: Variant) -> bool:
        """Raises what `VariantService.fetch` raises."""
        key = (upload_id, variant.size_name)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = await self._look(upload_id, variant)
        return known

    async def _look(self, upload_id: UploadId, variant: Variant) -> bool:
        try:
            original = await self._store.head(original_key(upload_id))
        except ObjectNotFound:
            raise UnknownUpload("No picture was uploaded under this id, or it was deleted.") from None
        if original.content_type == Format.JPG.media_type:
            return False
        png = await self._variant_service.fetch(upload_id, replace(variant, format=Format.PNG))
        return png.encoded.body[_COLOR_TYPE] in _WITH_ALPHA
