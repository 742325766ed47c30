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


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "25000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "2000000 100000\n"}, 8),
        ("0::/\n", {}, 8),
        ("0::/slice/app\n", {"slice/app/cpu.max": "max 100000", "slice/cpu.max": "300000 100000"}, 3),
        ("0::/slice/app\n", {"slice/app/cpu.max": "100000 50000", "slice/cpu.max": "400000 100000"}, 2),
        ("0::/docker/abc\n", {"cpu.max": "50000 100000"}, 1),
        ("2:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ("2:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ("2:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("1:cpu:/app\n", {"cpu/app/cpu.cfs_quota_us": "50000", "cpu/app/cpu.cfs_period_us": "25000"}, 2),
        ("1:cpuacct:/\n2:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_processors_are_the_lowest_cpu_quota_rounded_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    assert system.processors(root_with(tmp_path, groups, **files)) == expected


def test_memory_of_this_machine_is_positive() -> None:
    assert 64 * MB < system.memory() <= ALL


def test_processors_follow_the_cpu_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.processors(tmp_path) == len(os.sched_getaffinity(0))

    monkeypatch.delattr(os, "sched_getaffinity")
    assert system.processors(tmp_path) == os.cpu_count()


@pytest.mark.parametrize(
    ("mounts", "in_memory"),
    [
        (["overlay / overlay rw 0 0"], False),
        (["overlay / overlay rw 0 0", "tmpfs {} tmpfs rw 0 0"], True),
        (["tmpfs {} tmpfs rw 0 0", "/dev/sda1 {}/data ext4 rw 0 0"], False),
        (["/dev/sda1 {} ext4 rw 0 0", "tmpfs {} tmpfs rw 0 0"], True),
        (["tmpfs / tmpfs rw 0 0", "/dev/sda1 {}data ext4 rw 0 0"], True),
        ([], False),
    ],
)
def test_folder_is_in_memory_if_its_nearest_mount_is_tmpfs(tmp_path: Path, mounts: list[str], in_memory: bool) -> None:
    data = tmp_path / "my folder" / "data"
    data.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    place = str(data.parent).replace(" ", "\\040")
    (tmp_path / "proc/self/mounts").write_text("".join(f"{line.format(place)}\n" for line in mounts))

    assert system.is_in_memory(data, tmp_path) is in_memory


def test_no_folder_is_in_memory_where_mounts_are_unknown(tmp_path: Path) -> None:
    assert system.is_in_memory(tmp_path, tmp_path / "nowhere") is False
