"""Several machines: proxies, ingest and workers over real S3, Redis and Postgres."""

from pathlib import Path

import pytest

from tests.camera import camera_jpeg
from tests.cluster import Cluster
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """12 megapixels: a large AVIF of it takes a second."""
    return camera_jpeg()


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer) -> Cluster:
    return Cluster.create(tmp_path, redis, postgres, seaweedfs)
