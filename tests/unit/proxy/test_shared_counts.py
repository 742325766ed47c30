"""Shared metrics of server processes. Each test starts real processes, since the process id names the files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNTING = """
import asyncio
from proxy.settings import metrics_folder
from proxy.telemetry import Metrics

metrics = Metrics(metrics_folder())
metrics.variant_requests.labels("hot").inc()
metrics.request_seconds.labels("/", "GET", 200).observe(0.5)
metrics.event_streams.inc()
metrics.jobs.labels("pending").set(7)
print(asyncio.run(metrics.exposition()).decode())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def count_and_die(folder: Path) -> list[str]:
    """The output of a process."""
    run = subprocess.run(
        [sys.executable, "-c", COUNTING],
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        check=True,
        text=True,
    )
    return run.stdout.splitlines()


@pytest.mark.slow
def test_new_process_takes_over_counters_but_not_gauges_of_a_dead_one(folder: Path) -> None:
    for _ in range(3):
        lines = count_and_die(folder)

    assert 'darkroom_variant_requests_total{tier="hot"} 3.0' in lines
    assert 'darkroom_request_seconds_count{method="GET",route="/",status="200"} 3.0' in lines
    assert 'darkroom_jobs{status="pending"} 7.0' in lines
    assert "darkroom_event_streams 1.0" in lines


@pytest.mark.slow
def test_files_do_not_accumulate_when_processes_die(folder: Path) -> None:
    count_and_die(folder)
    first = sorted(path.name.rpartition("_")[0] for path in folder.iterdir())

    count_and_die(folder)

    assert len(first) == 4
    assert sorted(path.name.rpartition("_")[0] for path in folder.iterdir()) == first


@pytest.mark.heavy
def test_files_of_living_processes_are_not_taken_over(folder: Path) -> None:
    mine = folder / f"counter_{os.getpid()}.db"
    mine.write_bytes(bytes(1 << 20))

    count_and_die(folder)

    assert mine.exists()
    assert len([*folder.glob("counter_*.db")]) == 2
