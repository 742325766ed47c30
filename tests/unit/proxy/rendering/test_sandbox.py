"""What keeps a render process to its memory, tried on this process."""

import platform

import pytest

from proxy.rendering import sandbox
from proxy.rendering.sandbox import KEPT, UNTOUCHED, give_back, limited_growth, resident
from tests.conftest import reads

pytestmark = reads("/proc/self/statm")
MB = 1 << 20


@pytest.mark.promise("A6")
@pytest.mark.heavy
def test_within_the_block_no_more_is_had_than_is_allowed() -> None:
    with limited_growth(200 * MB):
        assert len(bytearray(150 * MB)) == 150 * MB
        with pytest.raises(MemoryError):
            bytearray(400 * MB)

    assert len(bytearray(400 * MB)) == 400 * MB


@pytest.mark.heavy
def test_the_limit_ends_however_the_block_does() -> None:
    with pytest.raises(MemoryError), limited_growth(0):
        bytearray(KEPT + UNTOUCHED + 100 * MB)

    assert len(bytearray(KEPT + UNTOUCHED + 100 * MB)) == KEPT + UNTOUCHED + 100 * MB


@pytest.mark.heavy
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others give back by themselves, or never")
def test_freed_memory_is_given_back_if_there_is_much_of_it() -> None:
    at_start = resident()
    blocks = [bytes(2000) for _ in range(100_000)]
    last = blocks[-1]  # above all the others, so that they stay
    blocks.clear()
    held = resident()
    assert held > at_start + 100 * MB

    give_back(held - KEPT + MB)
    assert resident() > held - 10 * MB
    give_back(at_start)
    assert resident() < at_start + 20 * MB
    assert len(last) == 2000


def test_where_nobody_says_what_is_held_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_column: int) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(sandbox, "_pages", missing)
    assert resident() == 0
    with limited_growth(0):
        assert len(bytearray(100 * MB)) == 100 * MB
    give_back(0)
