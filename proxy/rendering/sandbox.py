"""Locks a process: no files, no network, no other processes, no new code. Nothing can unlock it again.

seccomp is the base: a filter of system calls (`system_calls`). Landlock, where the kernel has it, forbids files, TCP
and signals once more, in another part of the kernel. Both need no privilege. Linux on x86-64 and aarch64 only.

A locked process can still use its memory and its processor, read and write what was open before, start threads, and
learn of a path whether it exists and how large it is, because glibc's `fstat` is a call that takes a path.
"""

import ctypes
import os
import platform
import resource
import struct
from contextlib import suppress

from proxy.rendering.system_calls import ARCHITECTURES, seccomp_program

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS, _SPECULATION_ALLOWED = 1, 1, 4
"""Before Linux 5.16, a filter without the last flag also turns off a speculation of the processor (SSBD), which slows
decoders down. That protects secrets within one process, and a worker has none."""
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h: the third, with two words for each set
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # on all architectures
_LANDLOCK_VERSION = 1

# linux/landlock.h: what each version of Landlock (ABI) can forbid of files.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP = 0b11
"""Binding and connecting, from version 4 on."""
_SCOPES = 0b11
"""Abstract Unix sockets and signals, from version 6 on."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def close_descriptors() -> None:
    """Closes everything inherited except the standard streams."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def hide_memory() -> None:
    """Hides environment and memory of this process from others of the same account, and from core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(AttributeError, OSError):  # Linux only
        _prctl(_PR_SET_DUMPABLE, 0)


def drop_capabilities() -> None:
    """Gives up what root may do beyond its files, for the calling thread and those that it starts later.

    Root could raise its own limit of memory, which the allowed system calls permit.
    """
    if (number := _CAPSET.get(platform.machine())) is not None:
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        _system_call(number, ctypes.create_string_buffer(header), ctypes.create_string_buffer(24))


def lock_files() -> bool:
    """Forbids the calling thread, and those that it starts later, to open files. Returns whether the kernel does it.

    Call it before libraries start threads, and after the last import.
    """
    version = _system_call(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    ruleset = _Ruleset(rights, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    try:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    except OSError:
        return False
    descriptor = _system_call(_LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if descriptor < 0:
        return False
    restricted = _system_call(_LANDLOCK_RESTRICT_SELF, descriptor, 0)
    os.close(descriptor)
    return restricted == 0


def lock_system_calls() -> bool:
    """Forbids this process all system calls except those of a decoder. Returns whether the kernel does it."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in ARCHITECTURES:
        return False
    code = seccomp_program(ARCHITECTURES[machine], os.getpid())
    program = _Program(len(code) // 8, code)
    try:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    except OSError:
        return False
    return (
        _system_call(_SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS | _SPECULATION_ALLOWED, ctypes.byref(program))
        == 0
    )


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _system_call(number: int, *arguments: object) -> int:
    """Makes a system call. Returns its result; negative if it failed or the system is not Linux."""
    if platform.system() != "Linux":
        return -1
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    longs = (ctypes.c_long(each) if isinstance(each, int) else each for each in (number, *arguments))
    result: int = call(*longs)
    return result
