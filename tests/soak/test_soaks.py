"""Every soak, for minutes; each is also a command for as long as one likes. `.ci/run` takes seconds of each."""

from pathlib import Path

import pytest

from tests.cluster import TINY, Cluster
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Service
from tests.soak import crashes, life, load, warm_all, workers


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer) -> Cluster:
    return Cluster.create(tmp_path, redis, postgres, seaweedfs)


@pytest.mark.long
class TestMinutes:
    def test_crashes(self) -> None:
        crashes.main(seconds=60, seed=1)

    def test_life(self) -> None:
        life.main(minutes=2)

    def test_load(self) -> None:
        load.main(minutes=1, uploads=2000)

    def test_warm_all(self) -> None:
        warm_all.main(uploads=500)

    def test_workers(self) -> None:
        workers.main(uploads=100)


@pytest.mark.slow
class TestSeconds:
    """Crashes: tests/faults; load: tests/load; workers: tests/integration/cluster."""

    @pytest.mark.serial
    def test_life(self, tmp_path: Path) -> None:
        (tmp_path / "darkroom.toml").write_text(TINY)
        with Service(tmp_path, **life.SETTINGS) as service:
            life.live(service, [service], seconds=3, rounds=3)

    def test_warm_all(self, cluster: Cluster) -> None:
        warm_all.soak(cluster, uploads=10)
