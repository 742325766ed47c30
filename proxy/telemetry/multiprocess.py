"""Metrics of all server processes of one command (`darkroom serve --workers`), from whichever process is scraped.

Based on prometheus_client's multiprocess mode, where each process counts in memory-mapped files of its own. Adds what
that lacks: killed processes and the process metrics. docs/decisions/0020-observability.md
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
_FILE_BYTES = 1 << 20  # the library's initial size: room for some 5000 series, of which a few hundred exist


def preallocate_files(folder: Path) -> None:
    """Creates this process's files before the library does, or takes over those of a dead process with their counts.

    Taking over keeps the number of files at the number of processes that live at a time. Writing all bytes avoids the
    library's sparse files: in a mapped sparse file, a full disk is not an exception but SIGBUS.
    """
    _living(folder)  # also removes the gauges of dead processes, which must not be taken over
    for kind in _KINDS:
        path = folder / f"{kind}_{os.getpid()}.db"
        if not path.exists() and not _take_over(folder, kind, path):
            path.write_bytes(bytes(_FILE_BYTES))


class SharedCounts(Collector):
    """Sums counters over all processes, dead or alive, and gauges over the living ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts = MultiProcessCollector(None, str(folder))

    def collect(self) -> Iterator[Metric]:
        living = _living(self._folder)
        yield from self._collected()
        yield from _processes(living)

    def _collected(self) -> Iterable[Metric]:
        """Retries if a file was renamed meanwhile because another process took it over."""
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError):
                return list(self._counts.collect())
        return list(self._counts.collect())


def _processes(pids: list[int]) -> Iterator[Metric]:
    """Sums the process metrics over `pids`; the start time is the earliest."""
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
    """Process ids of the living processes. Removes the gauges of dead ones."""
    living = []
    for pid in {_pid(path) for path in folder.glob("*.db")}:
        if _is_alive(pid):
            living.append(pid)
        else:
            with suppress(FileNotFoundError):  # another process removed them first
                mark_process_dead(pid, str(folder))
    return living


def _take_over(folder: Path, kind: str, path: Path) -> bool:
    """Renames a dead process's file of this kind to `path`; False if none was left."""
    for left in folder.glob(f"{kind}_*.db"):
        if not _is_alive(_pid(left)):
            with suppress(FileNotFoundError):  # another process took it first
                left.rename(path)
                return True
    return False


def _pid(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # no such process, or the number now belongs to another user's
        return False
    return True
