"""Available memory and processors."""

import os
from pathlib import Path

import pytest

from proxy import system

ALL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MB = 1 << 20


def root_with(root: Path, groups: str, **files: str) -> Path:
    """A root folder with these control groups; `files`: contents by path below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_memory_without_control_groups_is_the_machines(tmp_path: Path) -> None:
    assert system.memory(tmp_path) == ALL


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "536870912\n"}, 512 * MB),
        ("0::/\n", {"memory.max": "max\n"}, ALL),
        ("0::/\n", {}, ALL),
        ("0::/app\n", {"app/memory.max": f"{100 * MB}", "memory.max": "max"}, 100 * MB),
        ("0::/slice/app\n", {"slice/app/memory.max": "max", "slice/memory.max": f"{200 * MB}"}, 200 * MB),
        ("0::/slice/app\n", {"slice/app/memory.max": f"{100 * MB}", "slice/memory.max": f"{200 * MB}"}, 100 * MB),
        ("0::/../../elsewhere\n", {"memory.max": f"{300 * MB}"}, 300 * MB),
        ("0::/docker/abc\n", {"memory.max": f"{400 * MB}"}, 400 * MB),
        ("0::/\n", {"memory.max": f"{ALL * 2}"}, ALL),
    ],
)
def test_memory_with_cgroup_v2_is_the_lowest_limit(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    assert system.memory(root_with(tmp_path, groups, **files)) == expected


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": f"{512 * MB}"}, 512 * MB),
        ("4:memory:/app\n", {"memory/app/memory.limit_in_bytes": f"{64 * MB}"}, 64 * MB),
        ("4:memory:/docker/abc\n", {"memory/memory.limit_in_bytes": f"{256 * MB}"}, 256 * MB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, ALL),
        ("9:hugetlb,memory:/\n3:cpu:/\n", {"memory/memory.limit_in_bytes": f"{128 * MB}"}, 128 * MB),
        ("3:cpu:/\n0::/\n", {"memory/memory.limit_in_bytes": f"{128 * MB}"}, ALL),
        ("4:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": f"{128 * MB}", "memory.max": f"{64 * MB}"}, 64 * MB),
    ],
)
def test_memory_with_cgroup_v1_or_both_is_the_lowest_limit(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    assert system.memory(root_with(tmp_path, groups, **files)) == expected


def test_memory_of_this_machine_is_positive() -> None:
    assert 64 * MB < system.memory() <= ALL


def test_processors_follow_the_cpu_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.processors() == len(os.sched_getaffinity(0))

    monkeypatch.delattr(os, "sched_getaffinity")
    assert system.processors() == os.cpu_count()
