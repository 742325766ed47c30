"""How a render process keeps to the memory it is allowed: limits that the kernel holds, and giving back.

Linux only; elsewhere each does nothing.
"""

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT = 32 << 20
"""Bytes beyond those at the start that a process may keep at rest. glibc holds on to freed memory, up to hundreds of
megabytes after a large picture; handing back all of it every time makes small pictures slower by a tenth."""

UNTOUCHED = 64 << 20
"""Bytes that are mapped and hardly touched: the stacks of libvips' threads (up to 40 MB), and what numpy's linear
algebra reserves (27 MB). They take no memory, but the kernel counts them."""

ENVIRONMENT = {"PILLOW_BLOCK_SIZE": "64m", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""For the process's start. From 32 MB up, glibc maps each block by itself, so that large pictures leave no holes. With
an arena for each of libvips' threads a process held up to 128 MB at rest, with one for all of them 62. numpy's linear
algebra, which we do not use, would reserve 40 MB for each processor."""


def limit_address_space(megabytes: int) -> None:
    with suppress(ValueError, OSError):  # macOS knows the limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


@contextmanager
def limited_growth(growth: int) -> Iterator[None]:
    """Within the block, the process grows by so many bytes at most: what no header announced is refused as MemoryError.

    Counted is what is mapped privately, touched or not.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (_pages(5) + growth + KEPT + UNTOUCHED, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def resident() -> int:
    """Bytes of memory that this process holds; 0 where nobody says."""
    with suppress(OSError):
        return _pages(1)
    return 0


def give_back(at_start: int) -> None:
    """Returns freed memory to the system if there is much of it. `at_start`: what was `resident` then."""
    if resident() > at_start + KEPT:
        with suppress(OSError, AttributeError):  # glibc's alone
            ctypes.CDLL(None).malloc_trim(0)


def _pages(column: int) -> int:
    """Bytes from a column of Linux's statm: 1 is resident, 5 is private and writable, touched or not."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()
