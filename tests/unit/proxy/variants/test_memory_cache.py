"""The memory of variants: bounded in bytes, least recently used goes first."""

from datetime import UTC, datetime

from proxy.model import Fit, Format, Size, UploadId, Variant, new_upload_id
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.memory_cache import MAX_AGE, MemoryCache

KILOBYTE = 1024
SIZE = Size("small", 150, 150, Fit.COVER)
JPG, PNG, WEBP = (Variant(SIZE, format) for format in (Format.JPG, Format.PNG, Format.WEBP))
ONE, OTHER = new_upload_id(), new_upload_id()


def picture(kilobytes: int = 1) -> EncodedVariant:
    """It weighs a kilobyte more than its body."""
    return EncodedVariant(b"x" * KILOBYTE * kilobytes, Format.JPG, '"e"', datetime.now(UTC), "recipe", "tag")


def held(hot: MemoryCache, *keys: tuple[UploadId, Variant]) -> list[bool]:
    return [hot.get(*key) is not None for key in keys]


def test_what_is_put_comes_back_the_same() -> None:
    hot, kept = MemoryCache(10 * KILOBYTE), picture()

    hot.put(ONE, JPG, kept)

    assert hot.get(ONE, JPG) is kept
    assert hot.get(ONE, PNG) is None
    assert hot.get(OTHER, JPG) is None


def test_the_bound_counts_bytes_and_a_kilobyte_for_each_entry() -> None:
    hot = MemoryCache(4 * KILOBYTE)

    hot.put(ONE, JPG, picture())
    hot.put(ONE, PNG, picture())
    assert held(hot, (ONE, JPG), (ONE, PNG)) == [True, True]

    hot.put(ONE, WEBP, picture(0))
    assert (len(hot), hot.bytes) == (2, 3 * KILOBYTE)
    assert held(hot, (ONE, JPG), (ONE, PNG), (ONE, WEBP)) == [False, True, True]


def test_a_large_one_drives_out_as_many_as_it_needs() -> None:
    hot = MemoryCache(6 * KILOBYTE)
    for variant in (JPG, PNG, WEBP):
        hot.put(ONE, variant, picture())

    hot.put(OTHER, JPG, picture(3))

    assert held(hot, (ONE, JPG), (ONE, PNG), (ONE, WEBP), (OTHER, JPG)) == [False, False, True, True]


def test_what_was_asked_for_last_stays_longest() -> None:
    hot = MemoryCache(4 * KILOBYTE)
    hot.put(ONE, JPG, picture())
    hot.put(ONE, PNG, picture())

    hot.get(ONE, JPG)
    hot.put(ONE, WEBP, picture())

    assert held(hot, (ONE, JPG), (ONE, PNG), (ONE, WEBP)) == [True, False, True]


def test_one_that_fills_it_exactly_is_kept_and_one_larger_than_the_whole_drives_nothing_out() -> None:
    hot = MemoryCache(4 * KILOBYTE)

    hot.put(ONE, JPG, picture(3))
    hot.put(ONE, PNG, picture(4))

    assert held(hot, (ONE, JPG), (ONE, PNG)) == [True, False]


def test_a_newer_picture_takes_the_older_ones_place() -> None:
    hot, newer = MemoryCache(4 * KILOBYTE), picture(2)
    hot.put(ONE, JPG, picture())

    hot.put(ONE, JPG, newer)

    assert hot.get(ONE, JPG) is newer


def test_forgetting_an_upload_forgets_all_of_it_and_nothing_else() -> None:
    hot = MemoryCache(100 * KILOBYTE)
    for variant in (JPG, PNG):
        hot.put(ONE, variant, picture())
        hot.put(OTHER, variant, picture())

    hot.forget(ONE)
    hot.forget(new_upload_id())

    assert held(hot, (ONE, JPG), (ONE, PNG), (OTHER, JPG), (OTHER, PNG)) == [False, False, True, True]


def test_without_memory_nothing_is_kept() -> None:
    hot = MemoryCache(0)

    hot.put(ONE, JPG, picture(0))

    assert held(hot, (ONE, JPG)) == [False]


def test_it_tells_of_those_that_went_for_want_of_room_alone() -> None:
    now, evicted = 0.0, []
    hot = MemoryCache(4 * KILOBYTE, lambda: now, on_eviction=lambda: evicted.append(now))
    hot.put(ONE, JPG, picture())
    hot.put(ONE, PNG, picture())
    hot.forget(OTHER)
    assert evicted == []

    hot.put(ONE, WEBP, picture())
    assert evicted == [0.0]

    hot.forget(ONE)
    hot.put(ONE, JPG, picture())
    now = MAX_AGE + 1
    hot.put(ONE, PNG, picture(3))
    assert evicted == [0.0]
