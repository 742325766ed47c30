"""The memory limits of a render worker, applied to this process."""

import platform

import pytest

from proxy.rendering import memory_limits
from proxy.rendering.memory_limits import IDLE_ALLOWANCE, UNTOUCHED, limit_growth, release_freed_memory, resident_bytes
from tests.conftest import reads

pytestmark = reads("/proc/self/statm")
MB = 1 << 20


@pytest.mark.promise("A6")
@pytest.mark.heavy
def test_growth_above_the_limit_raises_memory_error() -> None:
    with limit_growth(200 * MB):
        assert len(bytearray(150 * MB)) == 150 * MB
        with pytest.raises(MemoryError):
            bytearray(400 * MB)

    assert len(bytearray(400 * MB)) == 400 * MB


@pytest.mark.heavy
def test_growth_limit_ends_with_the_block_after_an_error() -> None:
    with pytest.raises(MemoryError), limit_growth(0):
        bytearray(IDLE_ALLOWANCE + UNTOUCHED + 100 * MB)

    assert len(bytearray(IDLE_ALLOWANCE + UNTOUCHED + 100 * MB)) == IDLE_ALLOWANCE + UNTOUCHED + 100 * MB


@pytest.mark.heavy
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_much_freed_memory_is_released() -> None:
    at_start = resident_bytes()
    blocks = [bytes(2000) for _ in range(100_000)]
    last = blocks[-1]  # above all the others, so that they stay
    blocks.clear()
    held = resident_bytes()
    assert held > at_start + 100 * MB

    release_freed_memory(held - IDLE_ALLOWANCE + MB)
    assert resident_bytes() > held - 10 * MB
    release_freed_memory(at_start)
    assert resident_bytes() < at_start + 20 * MB
    assert len(last) == 2000


def test_limits_without_statm_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_column: int) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(memory_limits, "_statm_bytes", missing)
    assert resident_bytes() == 0
    with limit_growth(0):
        assert len(bytearray(100 * MB)) == 100 * MB
    release_freed_memory(0)
