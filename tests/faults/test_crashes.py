"""Processes killed at random under load, and started again. `tests/soak` does this for minutes."""

from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.soak.crashes import crash_cluster, crash_one

pytestmark = pytest.mark.slow

SECONDS = 1.0  # and until each program was killed once, and the server twice


@pytest.mark.promise("E11")
def test_one_server_killed_at_random_loses_nothing(tmp_path: Path) -> None:
    assert crash_one(tmp_path, SECONDS, seed=1).uploads


@pytest.mark.promise("E11")
def test_server_and_worker_killed_at_random_lose_nothing(cluster: Cluster) -> None:
    assert crash_cluster(cluster, SECONDS, seed=2).uploads
