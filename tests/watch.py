"""The memory of a server and its render processes, watched while a test asks things of it. Linux only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PAGE = 4096


class Watch:
    """What all processes that a server has started hold at most; and `itself`, what it holds each time. In bytes."""

    def __init__(self, server: int, interval: float = 0.01) -> None:
        self._server = server
        self._interval = interval
        self.most = 0
        self.itself: list[int] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=[stop])
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval):
            self.most = max(self.most, self.held())
            self.itself.append(resident(self._server))

    @property
    def samples(self) -> int:
        return len(self.itself)

    @property
    def most_itself(self) -> int:
        return max(self.itself)

    def held(self) -> int:
        total = 0
        for pid in self._children():
            with suppress(OSError):  # it has ended
                total += resident(pid)
        return total

    def _children(self) -> set[str]:
        tasks = Path(f"/proc/{self._server}/task").glob("*/children")
        return {pid for task in tasks for pid in task.read_text().split()}


def resident(pid: int | str) -> int:
    """Bytes. Raises OSError where there is no such process: one that is gone must not pass for a small one."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    if not pages:
        raise ProcessLookupError(pid)
    return pages * PAGE
