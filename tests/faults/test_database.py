"""Slow, silent, broken and read-only databases: uploads are rejected in time, variants are served, nothing is
incomplete.

Postgres killed, restarted or with a wrong password: tests/integration/cluster, tests/contracts/test_postgres.py.
"""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.client import complete, until
from tests.cluster import TINY, Cluster
from tests.faults.garbage import collect
from tests.faults.judge import MARGIN, Judge
from tests.faults.proxy import Link
from tests.faults.scene import MORE, NAMES, alive, by_tier, paths, ready, refused_upload, unready, uploaded
from tests.http_client import http
from tests.service import Service

STATEMENT = 6.0  # seconds until a call to a silent database fails
UPLOAD = 2 * (STATEMENT + MARGIN)  # once for the upload, once for its removal

NETWORK: dict[str, dict[str, Any]] = {
    "refused": {"refuse": True},
    "reset": {"reset": True},
    "silent": {"stall": True},
    "half closed": {"half_close": True},
    "cut": {"cut_after": 10},
}


@pytest.fixture(scope="module")
def link(cluster: Cluster) -> Iterator[Link]:
    with Link(int(cluster.database_url.rpartition(":")[2].partition("/")[0])) as link:
        yield link


@pytest.fixture(scope="module")
def running(cluster: Cluster, link: Link) -> Iterator[Service]:
    head, _, tail = cluster.database_url.rpartition(":")
    with cluster.serve(DATABASE_URL=f"{head}:{link.port}/{tail.partition('/')[2]}") as service:
        yield service


@pytest.fixture
def service(running: Service, link: Link) -> Service:
    link.heal()
    until(lambda: ready(running) is None)
    return running


@pytest.mark.promise("E3")
@pytest.mark.parametrize("fault", by_tier(NETWORK, long=["half closed"]))
def test_database_network_fault_refuses_uploads_and_serves_variants(
    cluster: Cluster, link: Link, service: Service, judge: Judge, fault: dict[str, Any]
) -> None:
    upload_id = uploaded(service)
    until(lambda: complete(service, upload_id))
    objects, rows = cluster.objects(), cluster.rows()
    link.break_(**fault)

    refused_upload(service, "catalog_unavailable", within=UPLOAD)
    asked = [f"{service.url}{path}" for path in (f"/images/{upload_id}", f"/images/{upload_id}/status", "/images")]
    start = time.monotonic()
    with ThreadPoolExecutor(len(asked)) as pool:
        for answer in pool.map(http.get, asked):
            assert (answer.status_code, answer.json()["code"]) == (503, "catalog_unavailable")
            assert answer.headers["cache-control"] == "no-store"
    assert time.monotonic() - start < STATEMENT + MARGIN
    pictures = [service.url + path for path in paths(upload_id, [*NAMES[:4], *MORE[:4]])]
    assert judge.outcomes(pictures) == {"ok"}
    assert alive(service)
    checks = unready(service)
    assert checks["database"] != "ok"
    assert checks["store"] == "ok"

    link.heal()
    until(lambda: ready(service) is None, 5 + MARGIN)
    assert cluster.rows() == rows
    assert [key for key in cluster.objects() if key.split("/")[1] != upload_id] == [
        key for key in objects if key.split("/")[1] != upload_id
    ]
    again = uploaded(service)
    until(lambda: complete(service, again))


@pytest.mark.promise("E3")
@pytest.mark.slow
def test_silent_database_fails_many_callers_within_the_deadline(link: Link, service: Service) -> None:
    """More callers than connections in the pool."""
    link.break_(stall=True)
    start = time.monotonic()
    with ThreadPoolExecutor(60) as pool:
        answers = [*pool.map(lambda _: http.get(f"{service.url}/images"), range(60))]
    assert Counter(answer.status_code for answer in answers) == {503: 60}
    assert time.monotonic() - start < 2 * STATEMENT + MARGIN
    assert alive(service)
    link.heal()
    until(lambda: ready(service) is None, 5 + MARGIN)
    with ThreadPoolExecutor(60) as pool:
        answers = [*pool.map(lambda _: http.get(f"{service.url}/images"), range(60))]
    assert Counter(answer.status_code for answer in answers) == {200: 60}


@pytest.mark.promise("E3")
@pytest.mark.slow
def test_read_only_database_refuses_uploads(cluster: Cluster, service: Service, judge: Judge) -> None:
    """As with a full disk: it reads, but rejects writes. An upload leaves nothing; the next call completes a deletion
    that could not remove the rows."""
    upload_id = uploaded(service)
    until(lambda: complete(service, upload_id))
    objects = cluster.objects()
    execute(cluster, "ALTER DATABASE {} SET default_transaction_read_only = on")
    try:
        refused_upload(service, "catalog_unavailable", within=UPLOAD)
        assert cluster.objects() == objects
        assert http.get(f"{service.url}/images/{upload_id}").status_code == 200
        judge.deleted(upload_id)
        assert http.delete(f"{service.url}/images/{upload_id}").status_code == 503
    finally:
        execute(cluster, "ALTER DATABASE {} SET default_transaction_read_only = off")
    assert http.delete(f"{service.url}/images/{upload_id}").status_code == 204
    assert http.get(f"{service.url}/images/{upload_id}").status_code == 404
    assert not [key for key in cluster.objects() if upload_id in key]
    again = uploaded(service)
    until(lambda: complete(service, again))


@pytest.mark.promise("E3")
@pytest.mark.slow
def test_serializable_default_isolation_changes_nothing(cluster: Cluster, service: Service) -> None:
    """By default, Postgres would fail concurrent transactions, including those that undo a rejected upload."""
    rows = len(cluster.rows()[0])
    execute(cluster, "ALTER DATABASE {} SET default_transaction_isolation = 'serializable'")
    try:
        until(lambda: ready(service) is None)
        with ThreadPoolExecutor(6) as pool:
            upload_ids = [*pool.map(lambda _: uploaded(service), range(12))]
        until(lambda: complete(service, *upload_ids))
    finally:
        execute(cluster, "ALTER DATABASE {} SET default_transaction_isolation = 'read committed'")
    assert len(cluster.rows()[0]) == rows + 12


def execute(cluster: Cluster, statement: str) -> None:
    """Runs the statement, and closes all other connections to the database."""
    url = cluster.database_url.replace("+asyncpg", "")
    name = url.rpartition("/")[2]

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(statement.format(name))
        await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            name,
        )
        await connection.close()

    asyncio.run(run())


@pytest.mark.promise("E3")
@pytest.mark.slow
def test_sqlite_locked_by_another_program_refuses_uploads(tmp_path: Path, judge: Judge) -> None:
    (tmp_path / "darkroom.toml").write_text(TINY)
    with Service(tmp_path, RENDER_PROCESSES="2") as service:
        upload_id = uploaded(service)
        until(lambda: complete(service, upload_id))
        with closing(sqlite3.connect(tmp_path / "data" / "darkroom.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            refused_upload(service, "catalog_unavailable", within=UPLOAD + MARGIN)
            pictures = [service.url + path for path in paths(upload_id, [*NAMES[:4], *MORE[:4]])]
            assert judge.outcomes(pictures) == {"ok"}
            assert http.get(f"{service.url}/images/{upload_id}").status_code == 200
            other.rollback()
        again = uploaded(service)
        until(lambda: complete(service, again))
    assert not collect(tmp_path)
