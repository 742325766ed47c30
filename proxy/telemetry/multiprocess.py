"""The counts of all server processes of one command (`darkroom serve --workers`), whichever of them is asked.

prometheus_client's multiprocess mode: each process counts in files of its own, mapped into memory. What it lacks is
here: processes that were killed, and the process metrics. docs/decisions/0020-seen-from-outside.md
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_mostrecent")
_TRIES = 5
_FILE_BYTES = 1 << 20  # what the library begins with: room for some 5000 series, of which there are a few hundred


def make_room(folder: Path) -> None:
    """This process's files, before the library makes them: those of a process that has died, whose counts go on in
    them, or new ones with all their bytes. So there are no more of them than processes live at a time.

    The library would make them sparse; and a write that finds the disk full is no error in a mapped file, but SIGBUS.
    """
    _living(folder)  # which removes the gauges of the dead: they are nothing to go on with
    for kind in _KINDS:
        path = folder / f"{kind}_{os.getpid()}.db"
        if not path.exists() and not _inherited(folder, kind, path):
            path.write_bytes(bytes(_FILE_BYTES))


class SharedCounts(Collector):
    """Sums over processes: counters over all that there ever were, gauges over those that live."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts = MultiProcessCollector(None, str(folder))

    def collect(self) -> Iterator[Metric]:
        living = _living(self._folder)
        yield from self._collected()
        yield from _processes(living)

    def _collected(self) -> Iterable[Metric]:
        """Again where a file was renamed while it was looked for: another process has inherited it."""
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError):
                return list(self._counts.collect())
        return list(self._counts.collect())


def _processes(pids: list[int]) -> Iterator[Metric]:
    """What `ProcessCollector` says of one, summed; the oldest start."""
    by_name: dict[str, list[Metric]] = {}
    for pid in pids:
        for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
            by_name.setdefault(metric.name, []).append(metric)
    for name, metrics in by_name.items():
        [sample, *_] = metrics[0].samples
        total = min if name == "process_start_time_seconds" else sum
        metrics[0].samples = [sample._replace(value=total(metric.samples[0].value for metric in metrics))]
        yield metrics[0]


def _living(folder: Path) -> list[int]:
    """Processes that count here. Of those that have died, the gauges are removed."""
    living = []
    for pid in {_pid(path) for path in folder.glob("*.db")}:
        if _lives(pid):
            living.append(pid)
        else:
            with suppress(FileNotFoundError):  # another process has just removed them
                mark_process_dead(pid, str(folder))
    return living


def _inherited(folder: Path, kind: str, path: Path) -> bool:
    """Whether a dead process's file of this kind is at `path` now."""
    for left in folder.glob(f"{kind}_*.db"):
        if not _lives(_pid(left)):
            with suppress(FileNotFoundError):  # another process has just taken it
                left.rename(path)
                return True
    return False


def _pid(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # nobody's number, or that of another user's process by now
        return False
    return True
