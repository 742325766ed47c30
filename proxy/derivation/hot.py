"""The variants that are asked for often, in memory, bounded in bytes."""

from cachetools import LRUCache

from proxy.derivation.picture import Picture
from proxy.model import UploadId, Variant

_OVERHEAD = 1024  # bytes; what an entry weighs beside its body


class HotPictures:
    """Least recently used goes first. Not for threads: the event loop is its only user."""

    def __init__(self, max_bytes: int) -> None:
        self._pictures: LRUCache[tuple[UploadId, Variant], Picture] = LRUCache(
            max_bytes, getsizeof=lambda picture: len(picture.body) + _OVERHEAD
        )

    def get(self, upload_id: UploadId, variant: Variant) -> Picture | None:
        return self._pictures.get((upload_id, variant))

    def put(self, upload_id: UploadId, variant: Variant, picture: Picture) -> None:
        if len(picture.body) + _OVERHEAD <= self._pictures.maxsize:
            self._pictures[upload_id, variant] = picture

    def forget(self, upload_id: UploadId) -> None:
        for key in [key for key in self._pictures if key[0] == upload_id]:
            del self._pictures[key]
