"""Memory and processors that this process may use, within its container's limits, and whether numpy is installed."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(root: Path = Path("/")) -> int:
    """Returns the memory that this process may use, in bytes: the machine's, or less if its container sets a limit.

    `root`: where /proc and /sys are mounted, for tests.
    """
    return min((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits(root)))


def has_numpy() -> bool:
    """Whether numpy (the optional extra `auto-quality`) is installed. Does not import it."""
    return find_spec("numpy") is not None


def _limits(root: Path) -> Iterator[int]:
    """Yields the memory limits of the process's control groups (v1 and v2) and their parents, in bytes.

    /proc names a group by its path on the host. In a container, that path may not exist under /sys, and the
    container's own group is then the root.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    mounted = root / "sys/fs/cgroup"
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, file = (mounted / "memory", "memory.limit_in_bytes") if controllers else (mounted, "memory.max")
        group = top.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        for each in (group, *group.parents):
            yield from _limit(each / file)
            if each == top:
                break


def _limit(file: Path) -> Iterator[int]:
    try:
        yield int(file.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return
