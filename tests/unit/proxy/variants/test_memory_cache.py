"""MemoryCache: bounded in bytes, evicts the least recently used."""

from datetime import UTC, datetime

from proxy.model import Fit, Format, Size, UploadId, Variant, new_upload_id
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.memory_cache import MAX_AGE, MemoryCache

KILOBYTE = 1024
SIZE = Size("small", 150, 150, Fit.COVER)
JPG, PNG, WEBP = (Variant(SIZE, format) for format in (Format.JPG, Format.PNG, Format.WEBP))
ONE, OTHER = new_upload_id(), new_upload_id()


def encoded(kilobytes: int = 1) -> EncodedVariant:
    """A variant that takes `kilobytes` and one more in the cache."""
    return EncodedVariant(b"x" * KILOBYTE * kilobytes, Format.JPG, '"e"', datetime.now(UTC), "recipe", "tag")


def held(cache: MemoryCache, *keys: tuple[UploadId, Variant]) -> list[bool]:
    return [cache.get(*key) is not None for key in keys]


def test_get_returns_the_stored_object() -> None:
    cache, kept = MemoryCache(10 * KILOBYTE), encoded()

    cache.put(ONE, JPG, kept)

    assert cache.get(ONE, JPG) is kept
    assert cache.get(ONE, PNG) is None
    assert cache.get(OTHER, JPG) is None


def test_size_counts_bodies_and_a_kilobyte_per_entry() -> None:
    cache = MemoryCache(4 * KILOBYTE)

    cache.put(ONE, JPG, encoded())
    cache.put(ONE, PNG, encoded())
    assert held(cache, (ONE, JPG), (ONE, PNG)) == [True, True]

    cache.put(ONE, WEBP, encoded(0))
    assert (len(cache), cache.bytes) == (2, 3 * KILOBYTE)
    assert held(cache, (ONE, JPG), (ONE, PNG), (ONE, WEBP)) == [False, True, True]


def test_large_entry_evicts_as_many_as_needed() -> None:
    cache = MemoryCache(6 * KILOBYTE)
    for variant in (JPG, PNG, WEBP):
        cache.put(ONE, variant, encoded())

    cache.put(OTHER, JPG, encoded(3))

    assert held(cache, (ONE, JPG), (ONE, PNG), (ONE, WEBP), (OTHER, JPG)) == [False, False, True, True]


def test_least_recently_used_entry_is_evicted_first() -> None:
    cache = MemoryCache(4 * KILOBYTE)
    cache.put(ONE, JPG, encoded())
    cache.put(ONE, PNG, encoded())

    cache.get(ONE, JPG)
    cache.put(ONE, WEBP, encoded())

    assert held(cache, (ONE, JPG), (ONE, PNG), (ONE, WEBP)) == [True, False, True]


def test_entry_of_the_maximum_size_is_kept_and_a_larger_one_is_ignored() -> None:
    cache = MemoryCache(4 * KILOBYTE)

    cache.put(ONE, JPG, encoded(3))
    cache.put(ONE, PNG, encoded(4))

    assert held(cache, (ONE, JPG), (ONE, PNG)) == [True, False]


def test_put_replaces_an_older_entry() -> None:
    cache, newer = MemoryCache(4 * KILOBYTE), encoded(2)
    cache.put(ONE, JPG, encoded())

    cache.put(ONE, JPG, newer)

    assert cache.get(ONE, JPG) is newer


def test_forget_removes_all_variants_of_one_upload() -> None:
    cache = MemoryCache(100 * KILOBYTE)
    for variant in (JPG, PNG):
        cache.put(ONE, variant, encoded())
        cache.put(OTHER, variant, encoded())

    cache.forget(ONE)
    cache.forget(new_upload_id())

    assert held(cache, (ONE, JPG), (ONE, PNG), (OTHER, JPG), (OTHER, PNG)) == [False, False, True, True]


def test_cache_without_memory_keeps_nothing() -> None:
    cache = MemoryCache(0)

    cache.put(ONE, JPG, encoded(0))

    assert held(cache, (ONE, JPG)) == [False]


def test_on_eviction_is_called_only_for_evicted_entries() -> None:
    now, evicted = 0.0, []
    cache = MemoryCache(4 * KILOBYTE, lambda: now, on_eviction=lambda: evicted.append(now))
    cache.put(ONE, JPG, encoded())
    cache.put(ONE, PNG, encoded())
    cache.forget(OTHER)
    assert evicted == []

    cache.put(ONE, WEBP, encoded())
    assert evicted == [0.0]

    cache.forget(ONE)
    cache.put(ONE, JPG, encoded())
    now = MAX_AGE + 1
    cache.put(ONE, PNG, encoded(3))
    assert evicted == [0.0]
