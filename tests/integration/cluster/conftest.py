"""Several machines: proxies, ingest and workers over real S3, Redis and Postgres."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.camera import camera_jpeg
from tests.cluster import TINY, Cluster
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT


@dataclass(frozen=True)
class PatientCluster(Cluster):
    """A cluster with long timeouts, for busy machines."""

    @property
    def store_settings(self) -> dict[str, str]:
        return super().store_settings | PATIENT


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """Three megapixels: a warm-up of the default sizes takes some seconds."""
    return camera_jpeg(size=(2016, 1512))


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer) -> Cluster:
    return PatientCluster.create(tmp_path, redis, postgres, seaweedfs)


@pytest.fixture
def impatient(tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer) -> Cluster:
    """A cluster with the default timeouts, so that hanging calls end soon."""
    return Cluster.create(tmp_path, redis, postgres, seaweedfs)


@pytest.fixture
def tiny(cluster: Cluster) -> Cluster:
    """The same, with sizes whose warm-up takes a tenth of a second."""
    (cluster.folder / "darkroom.toml").write_text(TINY)
    return cluster
