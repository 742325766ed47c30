from collections.abc import Iterator

import pytest

from tests.client import until
from tests.cluster import TINY, Cluster
from tests.faults.judge import Judge
from tests.faults.proxy import S3Link
from tests.faults.scene import PICTURE, ready, variants_of
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Service


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    original = tmp_path_factory.mktemp("truth") / "original"
    original.write_bytes(PICTURE)
    return variants_of(original)


@pytest.fixture
def judge(truth: dict[str, bytes]) -> Judge:
    return Judge(truth)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    seaweedfs: SeaweedServer,
) -> Cluster:
    """A cluster with small images, shared by the tests of a file. Each test restores it."""
    redis_server.refresh()
    postgres_server.resume()
    postgres_server.start()
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "darkroom.toml").write_text(TINY)
    return Cluster.create(folder, redis_server, postgres_server, seaweedfs)


@pytest.fixture(scope="module")
def link(cluster: Cluster) -> Iterator[S3Link]:
    with S3Link(int(cluster.seaweedfs.endpoint_url.rpartition(":")[2])) as link:
        yield link


@pytest.fixture(scope="module")
def running(cluster: Cluster, link: S3Link) -> Iterator[Service]:
    with cluster.serve(WARM_UP="false", S3_ENDPOINT_URL=link.url) as service:
        yield service


@pytest.fixture
def service(running: Service, link: S3Link) -> Service:
    """A healthy service with a healthy store."""
    link.heal()
    until(lambda: ready(running) is None and running.metric("darkroom_store_circuit_open") == 0)
    return running
