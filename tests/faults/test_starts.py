"""Repeated starts, and starts before the dependencies: it waits, names what it waits for, and then works."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.maintenance.garbage_collector import GarbageKind
from tests.client import complete, until
from tests.cluster import TINY, Cluster
from tests.faults.garbage import collect
from tests.faults.judge import MARGIN, Judge
from tests.faults.proxy import Link
from tests.faults.scene import NAMES, alive, paths, ready, refused_upload, uploaded
from tests.service import Program, Service, free_port

pytestmark = pytest.mark.slow

INSTANTS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.2, 1.5)  # seconds; a whole start takes about one


class Start(Program):
    """A server whose start is not waited for."""

    log_name = "server.log"

    def start(self) -> None:
        self._launch("serve", "--port", str(free_port()))


def storm(home: Path, instants: Sequence[float]) -> None:
    for instant in instants:
        with Start(home, RENDER_PROCESSES="1"):
            time.sleep(instant)


@pytest.mark.promise("E9")
@pytest.mark.parametrize("instants", [INSTANTS[1::2], pytest.param(INSTANTS, marks=pytest.mark.long)], ids=len)
def test_server_killed_during_starts_serves_after_the_next(
    tmp_path: Path, judge: Judge, instants: Sequence[float]
) -> None:
    """Also during the first start, which creates the tables."""
    (tmp_path / "darkroom.toml").write_text(TINY)
    storm(tmp_path, instants)
    with Service(tmp_path, RENDER_PROCESSES="1") as service:
        upload_id = uploaded(service)
        service.kill()
        storm(tmp_path, instants)
        service.start()
        until(lambda: complete(service, upload_id))
        assert judge.outcomes([service.url + p for p in paths(upload_id, NAMES)]) == {"ok"}
        service.stop()
    assert {*collect(tmp_path)} <= {GarbageKind.TEMPORARY}  # of the warm-ups that were killed
    assert not collect(tmp_path)
    assert "Traceback" not in service.log()


@pytest.mark.promise("E9")
@pytest.mark.parametrize("unavailable", ["store", "database"])
def test_server_started_before_its_dependencies_serves_once_they_are_up(
    cluster: Cluster, judge: Judge, unavailable: str
) -> None:
    ports = {"store": cluster.seaweedfs.endpoint_url, "database": cluster.database_url}
    port = int(ports[unavailable].rpartition(":")[2].partition("/")[0])
    with Link(port) as link:
        link.break_(refuse=True)
        through = cluster.database_url.replace(f":{port}/", f":{link.port}/")
        settings = {"S3_ENDPOINT_URL": link.url} if unavailable == "store" else {"DATABASE_URL": through}
        with cluster.serve(unavailable, ready="/healthz", WARM_UP="false", **settings) as service:
            checks = ready(service)
            assert checks is not None
            assert [part for part, finding in checks.items() if finding != "ok"] == [unavailable]
            refused_upload(service, {"store": "store", "database": "catalog"}[unavailable] + "_unavailable", within=15)
            assert alive(service)
            link.heal()
            until(lambda: ready(service) is None, 5 + MARGIN)
            [picture] = paths(uploaded(service), NAMES[:1])
            assert judge.get(service.url + picture).status == 200
