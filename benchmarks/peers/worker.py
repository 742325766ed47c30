"""A process that reads one JSON line, works, and answers with one JSON line. All measured programs do so."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Worker:
    """`with Worker(["node", "sharp.mjs"]) as sharp: sharp.ask(path=…)`"""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:  # closes the pipes, and the process exits
            pass

    def ask(self, **message: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def timed(self, **message: Any) -> Callable[[], tuple[float, ...]]:
        """Sends a request. Returns the response, and the milliseconds of wall-clock and processor time."""

        def work() -> tuple[float, ...]:
            answer = self.ask(**message)
            return answer["ms"], answer["cpu"]

        return work

    def peak(self) -> float:
        return peak_mib(self._process.pid)


def peak_mib(pid: int) -> float:
    """Returns the peak resident memory in MiB. Not wait4's ru_maxrss: a child's starts at its parent's."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
