"""Killed at random under load, and started again. `tests/soak` does it for minutes."""

from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.soak.crashes import crash_cluster, crash_one

pytestmark = pytest.mark.slow

SECONDS = 3.0


@pytest.mark.promise("E11")
def test_one_server(tmp_path: Path) -> None:
    assert crash_one(tmp_path, SECONDS, seed=1).uploads


@pytest.mark.promise("E11")
def test_a_server_and_a_worker_of_a_cluster(cluster: Cluster) -> None:
    assert crash_cluster(cluster, SECONDS, seed=2).uploads
