"""What there is to share out: the machine's memory and processors, or our container's part of them."""

import os
from collections.abc import Iterator
from pathlib import Path


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(root: Path = Path("/")) -> int:
    """Bytes: the machine's memory, or less where a control group of ours, or one around it, allows less."""
    return min((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits(root)))


def _limits(root: Path) -> Iterator[int]:
    """Of control groups, version 1 and 2. A container may see its own as the root, or under its name outside."""
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
    except (OSError, ValueError):  # none of that name, or "max"
        return
