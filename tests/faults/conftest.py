import pytest

from tests.cluster import TINY, Cluster
from tests.faults.judge import Judge
from tests.faults.scene import PICTURE, variants_of
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer


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
