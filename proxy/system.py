"""Memory and processors that this process may use, within its container's limits, and whether numpy is installed."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(root: Path = Path("/")) -> int:
    """The machine's memory in bytes, or the lowest limit of this process's control groups and their parents."""
    return min((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits(root)))


def has_numpy() -> bool:
    """Whether numpy (the optional extra `auto-quality`) is installed. Does not import it."""
    return find_spec("numpy") is not None


def _limits(root: Path) -> Iterator[int]:
    """Limits of control groups (v1 and v2). A container may see its own group as the root or by its outside path."""
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
