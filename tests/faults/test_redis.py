"""A slow, silent, broken or failing Redis. It only saves work and announces jobs: uploads and variants do not need it.

Its effect on leases: tests/contracts/lease_store/test_redis_lease_failures.py; on the queue:
tests/contracts/warm_up_queue; killed, and unavailable at the start: tests/integration/cluster.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client import complete, until
from tests.cluster import Cluster
from tests.faults.judge import MARGIN, Judge
from tests.faults.proxy import Link
from tests.faults.scene import MORE, NAMES, alive, paths, ready, uploaded
from tests.http_client import http
from tests.redis_server import RedisServer
from tests.service import Service

pytestmark = pytest.mark.slow

PUBLISHING = 2.0 + MARGIN  # seconds that a silent Redis may delay an upload; a deletion: one
NETWORK: dict[str, dict[str, Any]] = {
    "silent": {"stall": True},
    "reset": {"reset": True},
    "cut": {"cut_after": 3},
    "slow": {"delay": 0.1, "bandwidth": 20_000},
}


@pytest.fixture(scope="module")
def link(cluster: Cluster) -> Iterator[Link]:
    with Link(int(cluster.redis.url.rpartition(":")[2].partition("/")[0])) as link:
        yield link


@pytest.fixture(scope="module")
def running(cluster: Cluster, link: Link) -> Iterator[tuple[Service, Service]]:
    url = f"redis://127.0.0.1:{link.port}/0"
    with cluster.serve(REDIS_URL=url) as service, cluster.proxy("proxy", REDIS_URL=url) as proxy:
        yield service, proxy


@pytest.fixture
def services(running: tuple[Service, Service], link: Link) -> tuple[Service, Service]:
    link.heal()
    return running


def goes_on(services: tuple[Service, Service], judge: Judge) -> str:
    """Uploads, stored and new variants, and deletions work, with little delay. Returns the upload's id."""
    service, proxy = services
    start = time.monotonic()
    upload_id, other = uploaded(service), uploaded(service)
    assert time.monotonic() - start < 2 * PUBLISHING
    for each in (service, proxy):
        assert judge.outcomes([each.url + path for path in paths(upload_id, MORE[:6])]) == {"ok"}
        assert alive(each)
        assert ready(each) is None
    start = time.monotonic()
    assert http.delete(f"{service.url}/images/{other}").status_code == 204
    assert time.monotonic() - start < PUBLISHING
    judge.deleted(other)
    assert judge.get(f"{service.url}/images/{other}/small.jpg").status == 404
    return upload_id


def readonly(redis: RedisServer) -> Callable[[], None]:
    with redis.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def undo() -> None:
        with redis.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")

    return undo


def full(redis: RedisServer) -> Callable[[], None]:
    redis.fill()

    def undo() -> None:
        with redis.client() as client:
            client.config_set("maxmemory", 0)

    return undo


def locked(redis: RedisServer) -> Callable[[], None]:
    """Redis starts to require a password, also on open connections."""
    client = redis.client()
    client.config_set("requirepass", "open-sesame")
    client.client_kill_filter(_type="normal", skipme=True)

    def undo() -> None:
        client.config_set("requirepass", "")
        client.close()

    return undo


@pytest.mark.promise("E2")
def test_redis_faults_delay_jobs_and_refuse_nothing(
    cluster: Cluster, link: Link, services: tuple[Service, Service], judge: Judge
) -> None:
    """Waits for all jobs together, as each may take ten seconds."""
    upload_ids = []
    for fault in NETWORK.values():
        upload_ids.append(uploaded(services[0]))
        link.break_(**fault)
        upload_ids.append(goes_on(services, judge))
        link.heal()
    for refuse in (readonly, full, locked):
        upload_ids.append(uploaded(services[0]))
        undo = refuse(cluster.redis)
        try:
            upload_ids.append(goes_on(services, judge))
        finally:
            undo()
    until(lambda: complete(services[0], *upload_ids))
    for upload_id in upload_ids:
        assert len({key for key in cluster.objects(f"images/{upload_id}") if "@" not in key}) == len(NAMES)
    assert "open-sesame" not in services[0].log() + services[1].log()


@pytest.mark.promise("E2")
def test_silent_redis_at_start_delays_jobs_and_nothing_else(cluster: Cluster, link: Link, judge: Judge) -> None:
    link.break_(stall=True)
    url = f"redis://127.0.0.1:{link.port}/0"
    with cluster.serve("started", REDIS_URL=url) as service, cluster.worker("early", REDIS_URL=url):
        upload_id = uploaded(service)
        assert judge.get(f"{service.url}/images/{upload_id}/small.png").status == 200
        link.heal()
        until(lambda: complete(service, upload_id))
