"""What a program in the place of a decoder tries, by name. `test_attacks.py` runs each inside a real render worker.

Each function returns what it got. A refusal by the kernel is an OSError, or the end of the process.
"""

import ctypes
import fcntl
import mmap
import os
import resource
import socket
import threading
from pathlib import Path

_FOLDER = Path(FOLDER)  # noqa: F821 - the test writes this line above the file
_PARENT = os.getppid()
_X86_64 = os.uname().machine == "x86_64"
_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int) -> int:
    result: int = _LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "system call")
    return result


def read_file() -> str:
    return (_FOLDER / "secret").read_text()


def list_folder() -> str:
    return str([each.name for each in _FOLDER.iterdir()])


def write_file() -> None:
    (_FOLDER / "written").write_text("x")


def remove_file() -> None:
    (_FOLDER / "removable").unlink()


def rename_file() -> None:
    (_FOLDER / "renamable").rename(_FOLDER / "renamed")


def make_folder() -> None:
    (_FOLDER / "made").mkdir()


def link_file() -> None:
    (_FOLDER / "link").symlink_to(_FOLDER / "secret")


def change_mode() -> None:
    (_FOLDER / "secret").chmod(0o777)


def stat_file() -> int:
    return (_FOLDER / "secret").stat().st_size


def read_environment_of_server() -> int:
    return len(Path(f"/proc/{_PARENT}/environ").read_bytes())


def open_memory_of_server() -> None:
    os.close(os.open(f"/proc/{_PARENT}/mem", os.O_RDONLY))


def read_memory_of_server() -> None:
    _call(310 if _X86_64 else 270, _PARENT, 0, 0, 0, 0, 0)  # process_vm_readv


def connect_tcp() -> None:
    socket.socket().close()


def send_udp() -> None:
    socket.socket(type=socket.SOCK_DGRAM).close()


def pair_sockets() -> None:
    for each in socket.socketpair():
        each.close()


def signal_server() -> None:
    os.kill(_PARENT, 0)


def signal_server_by_owner_of_descriptor() -> None:
    fcntl.fcntl(0, fcntl.F_SETOWN, _PARENT)


def trace() -> None:
    _call(101 if _X86_64 else 117, 0)  # PTRACE_TRACEME


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def execute() -> None:
    os.execv("/bin/true", ["true"])


def map_executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def make_memory_executable() -> None:
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if _LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 4) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")


def io_uring() -> None:
    parameters = ctypes.create_string_buffer(120)
    _call(425, 1, ctypes.addressof(parameters))


def unshare() -> None:
    _call(272 if _X86_64 else 97, 0)


def open_pidfd() -> None:
    _call(434, _PARENT, 0)


def memory_file() -> None:
    os.close(os.memfd_create("x"))


def raise_limit_of_server() -> None:
    resource.prlimit(_PARENT, resource.RLIMIT_CORE)


def control_device() -> None:
    fcntl.ioctl(0, 0x541B, b"\0" * 8)  # FIONREAD


def thread() -> str:
    found: list[str] = []
    each = threading.Thread(target=lambda: found.append("ran"))
    each.start()
    each.join()
    return found[0]


def descriptors() -> str:
    """Everything that is open, and what it is."""
    kinds = []
    for each in range(1000):
        try:
            status = os.fstat(each)
        except OSError:
            continue
        kinds.append(f"{status.st_mode >> 12:o}")
    return " ".join(kinds)


def environment() -> str:
    return " ".join(sorted(os.environ))  # noqa: TID251 - what a worker inherits


def dumpable() -> int:
    return int(_LIBC.prctl(3, 0, 0, 0, 0))


def core_limit() -> str:
    return str(resource.getrlimit(resource.RLIMIT_CORE))
