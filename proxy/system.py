"""Memory and processors that this process may use, within its container's limits, and which extras are installed."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path


def processors(root: Path = Path("/")) -> int:
    """Returns the processors that this process may use: those of its CPU affinity, or its container's quota if lower.

    A quota is rounded up: a quarter of a processor counts as one. `root`: where /proc and /sys are mounted, for tests.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min((allowed, *(max(1, math.ceil(quota)) for quota in _cpu_quotas(root))))


def memory(root: Path = Path("/")) -> int:
    """Returns the memory that this process may use, in bytes: the machine's, or less if its container sets a limit.

    `root`: where /proc and /sys are mounted, for tests.
    """
    return min((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_memory_limits(root)))


def has_numpy() -> bool:
    """Whether numpy (the optional extra `auto-quality`) is installed. Does not import it."""
    return find_spec("numpy") is not None


def has_libvips() -> bool:
    """Whether libvips (the optional extra `vips`) and its binding are installed. Does not load them."""
    return all(find_spec(module) for module in ("pyvips", "_libvips"))


def has_pillow_heif() -> bool:
    """Whether pillow-heif (the optional extra `heic`) is installed. Does not import it."""
    return find_spec("pillow_heif") is not None


def is_in_memory(folder: Path, root: Path = Path("/")) -> bool:
    """Whether the files of an existing folder are kept in memory (tmpfs): its free space is not limited by a disk."""
    folder = folder.resolve()
    kinds = {}  # by mount point; a later mount hides an earlier one
    with suppress(OSError):  # not Linux
        for line in (root / "proc/self/mounts").read_text().splitlines():
            _, mounted, kind, *_ = line.split(" ")
            kinds[Path(mounted.replace("\\040", " "))] = kind
    return next((kinds[each] for each in (folder, *folder.parents) if each in kinds), "") == "tmpfs"


def _memory_limits(root: Path) -> Iterator[int]:
    """Yields the memory limits of the process's control groups, in bytes."""
    for version, group in _control_groups("memory", root):
        yield from _numbers(group / ("memory.limit_in_bytes" if version == 1 else "memory.max"))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yields the CPU quotas of the process's control groups, in processors."""
    for version, group in _control_groups("cpu", root):
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if version == 1 else ("cpu.max",)
        numbers = [number for file in files for number in _numbers(group / file)]
        if len(numbers) == 2 and min(numbers) > 0:  # v1 writes -1 for no quota, v2 "max"
            yield numbers[0] / numbers[1]


def _control_groups(controller: str, root: Path) -> Iterator[tuple[int, Path]]:
    """Yields the version (1 or 2) and folder of the process's control groups with `controller`, and of their parents.

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
        if controllers and controller not in controllers.split(","):
            continue
        top = mounted / controller if controllers else mounted
        group = top.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        for each in (group, *group.parents):
            yield (1 if controllers else 2), each
            if each == top:
                break


def _numbers(file: Path) -> list[int]:
    """Returns the integers in a file of a control group; an empty list if it says "max" or is absent."""
    try:
        return [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []
