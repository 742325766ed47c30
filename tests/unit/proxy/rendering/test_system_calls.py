"""The filter of system calls, interpreted as the kernel does, for both architectures."""

import errno
import re
import struct
from pathlib import Path

import pytest

from proxy.rendering.system_calls import ALLOW, ARCHITECTURES, FAIL, KILL, Architecture, seccomp_program

PID = 4321
EPERM, ENOSYS = FAIL | errno.EPERM, FAIL | errno.ENOSYS
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def architecture(machine: str) -> Architecture:
    return ARCHITECTURES[machine]


def action(architecture: Architecture, number: int, *arguments: int, audit: int | None = None) -> int:
    """Runs the filter on a call (Linux's Documentation/networking/filter.rst). Returns its action."""
    program = seccomp_program(architecture, PID)
    instructions = [*struct.iter_unpack("=HBBI", program)]
    data = struct.pack("=iIQ6Q", number, audit or architecture.audit, 0, *(*arguments, *[0] * (6 - len(arguments))))
    loaded = at = 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("=I", data, operand)
            case 0x15:
                at += if_true if loaded == operand else if_false
            case 0x35:
                at += if_true if loaded >= operand else if_false
            case 0x45:
                at += if_true if loaded & operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(code)


def test_each_call_has_the_action_of_its_list(architecture: Architecture) -> None:
    known = {*architecture.allowed.values(), *architecture.killed.values(), *architecture.checked.values()}

    assert {action(architecture, number) for number in architecture.allowed.values()} == {ALLOW}
    assert {action(architecture, number) for number in architecture.killed.values()} == {KILL}
    assert {action(architecture, number) for number in set(range(600)) - known} == {EPERM}


def test_lists_do_not_overlap(architecture: Architecture) -> None:
    lists = (architecture.allowed, architecture.killed, architecture.checked)

    assert len({number for each in lists for number in each.values()}) == sum(len(each) for each in lists)
    assert len(seccomp_program(architecture, PID)) // 8 < 4096  # BPF_MAXINSNS


def test_architectures_differ_only_in_old_calls() -> None:
    x86_64, aarch64 = ARCHITECTURES["x86_64"], ARCHITECTURES["aarch64"]

    assert x86_64.allowed.keys() - aarch64.allowed.keys() == {"poll"}
    assert x86_64.killed.keys() - aarch64.killed.keys() == {"fork", "vfork"}
    assert aarch64.allowed.keys() <= x86_64.allowed.keys()
    assert aarch64.killed.keys() <= x86_64.killed.keys()
    assert aarch64.checked.keys() == x86_64.checked.keys()


@pytest.mark.long  # compares with the kernel's headers, which few machines have
def test_numbers_are_those_of_the_kernel(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("needs the kernel's headers: apt-get install linux-libc-dev")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    known = {{"fstatat": "newfstatat"}.get(name, name): int(number) for name, number in defined}
    architecture = ARCHITECTURES[machine]

    for calls in (architecture.allowed, architecture.killed, architecture.checked):
        assert calls == {name: known[name] for name in calls}


def test_calls_of_another_architecture_are_killed(machine: str, architecture: Architecture) -> None:
    other = next(each.audit for name, each in ARCHITECTURES.items() if name != machine)

    assert action(architecture, architecture.allowed["read"], audit=other) == KILL
    assert action(architecture, 0x40000000 + architecture.allowed["read"]) == KILL


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 7), EPERM),
        ("mprotect", (0, 4096, 1), ALLOW),
        ("mprotect", (0, 4096, 4), EPERM),
        ("clone", (0x3D0F00,), ALLOW),  # glibc's flags for a thread
        ("clone", (0x1200011,), KILL),  # and for fork
        ("clone3", (1, 88), ENOSYS),
        ("newfstatat", (3, 0, 0, 0x1000), ALLOW),
        ("newfstatat", (3, 0, 0, 0), EPERM),
        ("prlimit64", (0, 2), ALLOW),
        ("prlimit64", (PID, 2), EPERM),
        ("prlimit64", (1, 2), EPERM),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (1, 1, 9), KILL),
        ("fcntl", (0, 0), ALLOW),
        ("fcntl", (0, 1030), ALLOW),
        ("fcntl", (0, 8), EPERM),  # F_SETOWN
        ("fcntl", (0, 10), EPERM),  # F_SETSIG
        ("fcntl", (0, 4), EPERM),  # F_SETFL, with O_ASYNC
    ],
)
def test_checked_calls_are_judged_by_their_arguments(
    architecture: Architecture, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    assert action(architecture, architecture.checked[name], *arguments) == expected
