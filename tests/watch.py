"""Measures the memory of a server and its render processes while a test runs. Linux only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PAGE = 4096


class Watch:
    """Samples the memory of a server (`itself`) and the peak sum of its child processes (`most`), in bytes."""

    def __init__(self, server: int, interval: float = 0.01) -> None:
        self._server = server
        self._interval = interval
        self._failure: Exception | None = None
        self.most = 0
        self.itself: list[int] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raises if the server has exited meanwhile, because the result would be meaningless."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=[stop])
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self, stop: threading.Event) -> None:
        try:
            while True:
                self.most = max(self.most, self.held())
                self.itself.append(resident(self._server))
                if stop.wait(self._interval):
                    return
        except ProcessLookupError as error:
            self._failure = error

    @property
    def samples(self) -> int:
        return len(self.itself)

    @property
    def most_itself(self) -> int:
        return max(self.itself)

    def held(self) -> int:
        held = 0
        for pid in self.children():
            with suppress(ProcessLookupError):  # it has exited meanwhile
                held += resident(pid)
        return held

    def children(self) -> set[str]:
        """The ids of the server's render processes."""
        children: set[str] = set()
        with suppress(OSError):  # the server has exited; `resident` raises
            for task in Path(f"/proc/{self._server}/task").glob("*/children"):
                with suppress(OSError):  # the thread has ended
                    children.update(task.read_text().split())
        return children


def resident(pid: int | str) -> int:
    """Returns the resident bytes of a process. Raises ProcessLookupError if it has exited."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        pages = 0
    if not pages:  # a zombie, until its parent waits for it
        raise ProcessLookupError(f"process {pid} has ended")
    return pages * PAGE


def open_descriptors(pid: int) -> int:
    """Counts the open files of a server. Servers hide them from their own account, so only root can."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        pytest.skip("reads what servers hide from their own account: run it as root")
