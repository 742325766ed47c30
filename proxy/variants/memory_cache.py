"""Recently requested variants in memory, bounded in bytes and in age."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from cachetools import TLRUCache

from proxy.model import UploadId, Variant
from proxy.variants.encoded_variant import EncodedVariant

MAX_AGE = 60.0
"""Seconds. Bounds how long a variant is served after another process deleted its upload, if the invalidation is lost.

The cost is one store read a minute for each cached variant."""

_OVERHEAD = 1024  # bytes of an entry besides its body


class _Cache(TLRUCache[tuple[UploadId, Variant], EncodedVariant]):
    """Calls `on_eviction` for each entry that is removed to make room."""

    def __init__(self, on_eviction: Callable[[], None], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_eviction = on_eviction

    def popitem(self) -> tuple[tuple[UploadId, Variant], EncodedVariant]:
        self._on_eviction()
        return super().popitem()


class MemoryCache:
    """A least-recently-used cache. Not thread-safe: use it from the event loop only."""

    def __init__(
        self, max_bytes: int, clock: Callable[[], float] = monotonic, *, on_eviction: Callable[[], None] = lambda: None
    ) -> None:
        self._variants = _Cache(
            on_eviction,
            max_bytes,
            ttu=lambda _key, _variant, now: now + MAX_AGE,
            timer=clock,
            getsizeof=lambda encoded: len(encoded.body) + _OVERHEAD,
        )

    @property
    def bytes(self) -> int:
        return int(self._variants.currsize)

    def __len__(self) -> int:
        return len(self._variants)

    def get(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        return self._variants.get((upload_id, variant))

    def put(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant) -> None:
        if len(encoded.body) + _OVERHEAD <= self._variants.maxsize:
            self._variants[upload_id, variant] = encoded

    def forget(self, upload_id: UploadId | None) -> None:
        """Removes one upload's variants, or everything if `upload_id` is None."""
        for key in [key for key in self._variants if upload_id in (key[0], None)]:
            self._variants.pop(key, None)
