"""The system calls that a locked render worker may make, as a program for seccomp.

Numbers: Linux's `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`. Every call that is in
no list fails with an error, so that libraries try another call or do without. Calls that only an attacker makes kill
the process, so that they are noticed.
"""

import errno
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Several calls a line: one a line would be two hundred lines.
# fmt: off
_X86_64_ALLOWED = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "writev": 20, "sched_yield": 24, "mremap": 25,
    "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "recvmsg": 47, "exit": 60, "getrusage": 98,
    "sigaltstack": 131, "gettid": 186, "futex": 202, "sched_getaffinity": 204, "restart_syscall": 219,
    "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231, "ppoll": 271, "set_robust_list": 273,
    "preadv": 295, "getrandom": 318, "membarrier": 324, "preadv2": 327, "rseq": 334,
}
_X86_64_KILLED = {
    "shmget": 29, "shmat": 30, "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46,
    "bind": 49, "listen": 50, "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
    "rt_sigqueueinfo": 129, "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "init_module": 175,
    "delete_module": 176, "tkill": 200, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "unshare": 272, "accept4": 288, "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "recvmmsg": 299,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "sendmmsg": 307, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "finit_module": 313, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321,
    "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "pidfd_open": 434, "pidfd_getfd": 438,
}
_X86_64_CHECKED = {
    "mmap": 9, "mprotect": 10, "clone": 56, "fcntl": 72, "tgkill": 234, "newfstatat": 262, "prlimit64": 302,
    "clone3": 435,
}
_AARCH64_ALLOWED = {
    "dup": 23, "close": 57, "lseek": 62, "read": 63, "write": 64, "writev": 66, "pread64": 67, "preadv": 69,
    "ppoll": 73, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
    "clock_gettime": 113, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
    "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
    "getrusage": 165, "getpid": 172, "gettid": 178, "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216,
    "madvise": 233, "getrandom": 278, "membarrier": 283, "preadv2": 286, "rseq": 293,
}
_AARCH64_KILLED = {
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97, "kexec_load": 104, "init_module": 105,
    "delete_module": 106, "ptrace": 117, "kill": 129, "tkill": 130, "rt_sigqueueinfo": 138, "shmget": 194,
    "shmat": 196, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203,
    "sendto": 206, "recvfrom": 207, "sendmsg": 211, "add_key": 217, "request_key": 218, "keyctl": 219, "execve": 221,
    "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "accept4": 242, "recvmmsg": 243, "name_to_handle_at": 264,
    "open_by_handle_at": 265, "setns": 268, "sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271,
    "finit_module": 273, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282,
    "kexec_file_load": 294, "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "pidfd_open": 434, "pidfd_getfd": 438,
}
_AARCH64_CHECKED = {
    "fcntl": 25, "newfstatat": 79, "tgkill": 131, "clone": 220, "mmap": 222, "mprotect": 226, "prlimit64": 261,
    "clone3": 435,
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Architecture:
    """The system calls of an architecture, as numbers by name. `audit`: its number in `linux/audit.h`."""

    audit: int
    allowed: Mapping[str, int]
    killed: Mapping[str, int]
    checked: Mapping[str, int]


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, _X86_64_ALLOWED, _X86_64_KILLED, _X86_64_CHECKED),
    "aarch64": Architecture(0xC00000B7, _AARCH64_ALLOWED, _AARCH64_KILLED, _AARCH64_CHECKED),
}
"""By `platform.machine()`."""

ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
"""seccomp's actions; FAIL is combined with an error number."""
_EPERM, _ENOSYS = FAIL | errno.EPERM, FAIL | errno.ENOSYS

# Instructions of classic BPF (linux/bpf_common.h): load a word, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in seccomp_data
_FIRST_X32 = 0x40000000  # numbers of x86-64's 32-bit variant of each call

_CLONE_THREAD, _PROT_EXEC, _AT_EMPTY_PATH = 0x10000, 4, 0x1000
_FCNTL = {"F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_DUPFD_CLOEXEC": 1030}
"""Not F_SETOWN and F_SETSIG: with them, the kernel sends signals to other processes."""

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def seccomp_program(architecture: Architecture, pid: int) -> bytes:
    """Returns the seccomp filter for the process `pid`, as an array of `struct sock_filter`."""
    numbers = architecture.checked
    rules = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FIRST_X32),
        (_RETURN, 0, 0, KILL),
    ]
    for number in architecture.allowed.values():
        rules += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, ALLOW)]
    for name in ("mmap", "mprotect"):  # no new code
        rules += _check(numbers[name], 2, [(_ANY_BIT, 1, 0, _PROT_EXEC)], _EPERM)
    rules += _check(numbers["clone"], 0, [(_ANY_BIT, 0, 1, _CLONE_THREAD)], KILL)  # threads, not processes
    rules += [(_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, _ENOSYS)]  # its flags are in memory; glibc uses clone
    rules += _check(numbers["newfstatat"], 3, [(_ANY_BIT, 0, 1, _AT_EMPTY_PATH)], _EPERM)  # glibc's fstat
    rules += _check(numbers["prlimit64"], 0, [(_EQUAL, 0, 1, 0)], _EPERM)  # this process
    rules += _check(numbers["tgkill"], 0, [(_EQUAL, 0, 1, pid)], KILL)  # abort()
    for command in _FCNTL.values():
        rules += [
            (_EQUAL, 0, 4, numbers["fcntl"]),
            (_LOAD, 0, 0, _ARGUMENTS + 8),
            (_EQUAL, 0, 1, command),
            (_RETURN, 0, 0, ALLOW),
            (_LOAD, 0, 0, _NUMBER),
        ]
    for number in architecture.killed.values():
        rules += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, KILL)]
    rules.append((_RETURN, 0, 0, _EPERM))
    return _assemble(rules)


def _check(number: int, argument: int, test: Iterable[Instruction], otherwise: int) -> list[Instruction]:
    """Returns instructions that allow a call if `test` of an argument's low word does not jump.

    `number`: of the call. `argument`: its position, from 0. `otherwise`: the filter's result if `test` jumps.
    """
    body = [
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        *test,
        (_RETURN, 0, 0, ALLOW),
        (_RETURN, 0, 0, otherwise),
    ]
    return [(_EQUAL, 0, len(body), number), *body]


def _assemble(rules: Iterable[Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *rule) for rule in rules)
