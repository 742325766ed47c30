"""The variants that are asked for often, in memory, bounded in bytes and in age."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from cachetools import TLRUCache

from proxy.model import UploadId, Variant
from proxy.variants.encoded_variant import EncodedVariant

MAX_AGE = 60.0
"""Seconds. Another process may delete an upload; unless it is told (`purges`), this one finds out by then, at one look
into the store a minute."""

_OVERHEAD = 1024  # bytes; what an entry weighs beside its body


class _Cache(TLRUCache[tuple[UploadId, Variant], EncodedVariant]):
    """Tells of those that have to go for want of room."""

    def __init__(self, on_eviction: Callable[[], None], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_eviction = on_eviction

    def popitem(self) -> tuple[tuple[UploadId, Variant], EncodedVariant]:
        self._on_eviction()
        return super().popitem()


class MemoryCache:
    """Least recently used goes first. Not for threads: the event loop is its only user."""

    def __init__(
        self, max_bytes: int, clock: Callable[[], float] = monotonic, *, on_eviction: Callable[[], None] = lambda: None
    ) -> None:
        self._pictures = _Cache(
            on_eviction,
            max_bytes,
            ttu=lambda _key, _picture, now: now + MAX_AGE,
            timer=clock,
            getsizeof=lambda picture: len(picture.body) + _OVERHEAD,
        )

    @property
    def bytes(self) -> int:
        return int(self._pictures.currsize)

    def __len__(self) -> int:
        return len(self._pictures)

    def get(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        return self._pictures.get((upload_id, variant))

    def put(self, upload_id: UploadId, variant: Variant, picture: EncodedVariant) -> None:
        if len(picture.body) + _OVERHEAD <= self._pictures.maxsize:
            self._pictures[upload_id, variant] = picture

    def forget(self, upload_id: UploadId | None) -> None:
        """All of one upload, or all of all."""
        for key in [key for key in self._pictures if upload_id in (key[0], None)]:
            self._pictures.pop(key, None)
