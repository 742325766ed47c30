"""Recently requested variants in memory, bounded in bytes and in age."""

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from cachetools import LRUCache

from proxy.model import UploadId, Variant
from proxy.variants.encoded_variant import EncodedVariant

MAX_AGE = 60.0
"""Seconds. Bounds how long a variant is served after another process deleted its upload, if the invalidation is lost.

The cost is one store read a minute for each cached variant."""

_OVERHEAD = 1024  # bytes of an entry besides its body


class _Entry(NamedTuple):
    encoded: EncodedVariant
    expires: float


class _Cache(LRUCache[tuple[UploadId, Variant], _Entry]):
    """Calls `on_eviction` for each entry, unless it is expired, that is removed to make room."""

    def __init__(self, max_bytes: int, clock: Callable[[], float], on_eviction: Callable[[], None]) -> None:
        super().__init__(max_bytes, getsizeof=lambda entry: len(entry.encoded.body) + _OVERHEAD)
        self._clock = clock
        self._on_eviction = on_eviction

    def popitem(self) -> tuple[tuple[UploadId, Variant], _Entry]:
        key, entry = super().popitem()
        if self._clock() < entry.expires:
            self._on_eviction()
        return key, entry


class MemoryCache:
    """A least-recently-used cache. Not thread-safe: use it from the event loop only.

    cachetools' TLRUCache would remove expired entries earlier, but a read of it takes 8 microseconds instead of 1.5.
    """

    def __init__(
        self, max_bytes: int, clock: Callable[[], float] = monotonic, *, on_eviction: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._variants = _Cache(max_bytes, clock, on_eviction)

    @property
    def bytes(self) -> int:
        """The bytes in use, with the overhead of each entry."""
        return int(self._variants.currsize)

    def __len__(self) -> int:
        return len(self._variants)

    def get(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        """Returns the variant; None if it is missing or has expired."""
        entry = self._variants.get((upload_id, variant))
        if entry is None:
            return None
        if self._clock() < entry.expires:
            return entry.encoded
        del self._variants[upload_id, variant]
        return None

    def put(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant) -> None:
        """Keeps a variant for `MAX_AGE`, unless it is larger than the whole cache."""
        if len(encoded.body) + _OVERHEAD <= self._variants.maxsize:
            self._variants[upload_id, variant] = _Entry(encoded, self._clock() + MAX_AGE)

    def forget(self, upload_id: UploadId | None) -> None:
        """Removes one upload's variants, or everything if `upload_id` is None."""
        for key in [key for key in self._variants if upload_id in (key[0], None)]:
            self._variants.pop(key, None)
