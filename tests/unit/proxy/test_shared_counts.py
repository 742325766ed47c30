"""Server processes of one command count in one folder. Each here is one of its own: its number names its files."""

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
    """What it answered."""
    run = subprocess.run(
        [sys.executable, "-c", COUNTING],
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        check=True,
        text=True,
    )
    return run.stdout.splitlines()


@pytest.mark.heavy
def test_who_comes_in_place_of_the_dead_goes_on_with_their_counts_and_not_with_their_gauges(folder: Path) -> None:
    for _ in range(3):
        lines = count_and_die(folder)

    assert 'darkroom_variant_requests_total{tier="hot"} 3.0' in lines
    assert 'darkroom_request_seconds_count{method="GET",route="/",status="200"} 3.0' in lines
    assert 'darkroom_jobs{status="pending"} 7.0' in lines
    assert "darkroom_event_streams 1.0" in lines


@pytest.mark.heavy
def test_however_many_die_there_are_the_files_of_one(folder: Path) -> None:
    count_and_die(folder)
    first = sorted(path.name.rpartition("_")[0] for path in folder.iterdir())

    count_and_die(folder)

    assert len(first) == 4
    assert sorted(path.name.rpartition("_")[0] for path in folder.iterdir()) == first


@pytest.mark.heavy
def test_the_counts_of_the_living_are_left_to_them(folder: Path) -> None:
    mine = folder / f"counter_{os.getpid()}.db"
    mine.write_bytes(bytes(1 << 20))

    count_and_die(folder)

    assert mine.exists()
    assert len([*folder.glob("counter_*.db")]) == 2
