"""Keeps a render worker within its memory: limits that the kernel enforces, and the release of freed memory.

Linux only; elsewhere these functions do nothing.
"""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

IDLE_ALLOWANCE = 32 << 20
"""Bytes above those at its start that an idle worker may keep. glibc keeps freed memory, up to hundreds of megabytes
after a large image; releasing all of it after every request makes small images a tenth slower."""

UNTOUCHED = 64 << 20
"""Bytes that are mapped and hardly touched: the stacks of libvips' threads (up to 40 MB), and the reserve of numpy's
linear algebra (27 MB). They use no memory, but the kernel counts them."""

ENVIRONMENT = {
    "PILLOW_BLOCK_SIZE": "64m",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "VIPS_DISC_THRESHOLD": "64g",
}
"""The whole environment of a render worker. libvips would put images of more than 100 MB into a file, which the lock
forbids and the memory estimate does not count. glibc maps each block of 32 MB and more by itself, so that large images
leave no holes. With an arena for each of libvips' threads an idle worker held up to 128 MB, with a single arena 62.
numpy's linear algebra, which is not used, would reserve 40 MB for each processor."""


def limit_address_space(megabytes: int) -> None:
    """Limits the address space of this process, in MiB. Does nothing where the system refuses the limit."""
    with suppress(ValueError, OSError):  # macOS refuses to set this limit
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


@contextmanager
def limit_growth(growth: int) -> Iterator[None]:
    """Limits the growth of the process to `growth` bytes within the block. More raises MemoryError.

    The kernel counts private mappings, touched or not.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (_statm_bytes(5) + growth + IDLE_ALLOWANCE + UNTOUCHED, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def resident_bytes() -> int:
    """Returns the memory that this process holds; 0 where the system does not report it."""
    with suppress(OSError):
        return _statm_bytes(1)
    return 0


def release_freed_memory(at_start: int) -> None:
    """Gives freed memory back to the system if there is much of it. `at_start`: the `resident_bytes` at the start."""
    if resident_bytes() > at_start + IDLE_ALLOWANCE:
        with suppress(OSError, AttributeError):  # glibc only
            ctypes.CDLL(None).malloc_trim(0)


def _statm_bytes(column: int) -> int:
    """Reads a column of Linux's statm: 1 is resident, 5 is private and writable, touched or not."""
    return int(os.pread(_statm(), 200, 0).split()[column]) * resource.getpagesize()


@cache
def _statm() -> int:
    """Opens the file once: a locked process opens none."""
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
