"""Clocks that are wrong, or set while Darkroom runs: no lease or job is taken away early, and nothing is lost.

libfaketime skews one program; the store, Redis and Postgres keep their own time. S3 itself rejects clients that are
more than fifteen minutes off.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from socket import socket

import pytest

from proxy.telemetry import Metrics
from proxy.variants.leases.redis_leases import LEASE_SECONDS, RedisLeaseStore
from tests.client import complete, until
from tests.cluster import TINY, Cluster
from tests.conftest import need
from tests.faults.garbage import collect
from tests.faults.judge import Judge
from tests.faults.scene import NAMES, PICTURE, paths, ready, refused_upload, upload, uploaded
from tests.hostile import wire
from tests.http_client import http
from tests.redis_server import RedisServer
from tests.service import Service, darkroom
from tests.waiting import GUARD

pytestmark = pytest.mark.slow

UPLOAD = 15.0  # seconds, as in test_store.py
KEY = {"Idempotency-Key": "one-and-the-same"}
ASK_FOR_LEASE = """
import asyncio, sys
from proxy.variants.leases.redis_leases import RedisLeaseStore
from proxy.telemetry import Metrics

async def ask():
    async with RedisLeaseStore(sys.argv[1], Metrics()).hold("leased", wait=False) as held:
        print(held)

asyncio.run(ask())
"""


@pytest.fixture(scope="module")
def preload() -> str:
    """The path of libfaketime on this system."""
    need(shutil.which("faketime"), "faketime")
    command = ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def right(cluster: Cluster) -> Iterator[Service]:
    with cluster.serve("right", WARM_UP="false", UPLOAD_STALL_TIMEOUT="60") as service:  # uploads pause in a test
        yield service


def skewed(preload: str, **how: str) -> dict[str, str]:
    """Returns an environment with a skewed wall clock. The monotonic clock, which cannot be set, stays.

    Without FORCE_MONOTONIC_FIX=0, libfaketime 0.9.10 turns Python's wait for the interpreter lock, 5 ms, into a distant
    deadline: one busy thread then blocks the event loop for seconds.
    """
    return {
        "LD_PRELOAD": preload,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "PYTHONPATH": str(Path(__file__).with_name("faketime")),
        **how,
    }


def told_time(service: Service) -> datetime:
    return parsedate_to_datetime(http.get(f"{service.url}/healthz").headers["date"])


def off_by(service: Service) -> timedelta:
    return abs(told_time(service) - datetime.now(UTC))


def keyed_upload(service: Service) -> tuple[int, str]:
    files = {"image": ("photo.jpg", PICTURE)}
    answer = http.post(f"{service.url}/images/upload", files=files, headers=KEY)
    return answer.status_code, str(answer.json().get("uploadId", answer.json().get("code")))


class TestOneMachineOfSeveral:
    @pytest.mark.promise("E8")
    @pytest.mark.parametrize("offset", ["+1d", pytest.param("-1d", marks=pytest.mark.long)])
    def test_clock_a_day_off_is_refused_by_the_store_and_harms_no_other(
        self, cluster: Cluster, right: Service, judge: Judge, preload: str, offset: str
    ) -> None:
        upload_id, (_, keyed) = uploaded(right), keyed_upload(right)
        before = cluster.objects(), cluster.rows()
        machine = skewed(preload, FAKETIME=offset)
        with cluster.serve("off", WARM_UP="false", ready="/healthz", **machine) as off:
            assert off_by(off) > timedelta(hours=23)
            assert judge.get(f"{off.url}/images/{upload_id}/small.jpg").code == "store_unavailable"
            refused_upload(off, "store_unavailable", within=UPLOAD)
            assert "clock" in upload(off).json()["detail"]
            assert off.metric("darkroom_store_errors_total", code="RequestTimeTooSkewed") >= 1
            checks = ready(off)
            assert checks is not None
            assert checks["store"] != "ok"
            assert checks["database"] == "ok"
            keyed_upload(off)  # with any result
            assert keyed_upload(right) == (201, keyed)
            assert (cluster.objects(), cluster.rows()) == before
        assert gc_in_the_middle_of_an_upload(cluster, right, machine) == 201
        assert judge.get(f"{right.url}/images/{upload_id}/small.jpg").status == 200

    @pytest.mark.promise("E8")
    def test_clock_within_the_stores_tolerance_changes_nothing(
        self, cluster: Cluster, right: Service, judge: Judge, preload: str
    ) -> None:
        """Sixty times a job's heartbeat limit, and two hundred times a lease's length."""
        ahead, behind = (skewed(preload, FAKETIME=offset) for offset in ("+10m", "-10m"))
        with cluster.serve("ahead", WARM_UP="false", **ahead) as off, cluster.worker(), cluster.worker("b", **behind):
            assert off_by(off) > timedelta(minutes=9)
            upload_ids = [uploaded(service) for service in (right, off) * 3]
            until(lambda: complete(right, *upload_ids))
            for service in (right, off):
                pictures = [service.url + path for each in upload_ids[:2] for path in paths(each, NAMES[:4])]
                assert judge.outcomes(pictures) == {"ok"}
            assert keyed_upload(off) == keyed_upload(right)
            swept = darkroom(off.folder, "gc", "--json", **cluster.settings | ahead)
        report = json.loads(swept.stdout)
        assert (report["removed"], report["found"], report["failed"]) == (True, [], [])

    @pytest.mark.promise("E8")
    async def test_lease_length_does_not_depend_on_the_clock(self, redis: RedisServer, preload: str) -> None:
        """Redis measures the time. The lease is held longer than it lasts without renewal, and requested by wrong
        clocks.
        """
        lock = RedisLeaseStore(redis.url, Metrics())
        async with lock.hold("leased", wait=False):
            await asyncio.sleep(LEASE_SECONDS + 1)
            for offset in ("+1d", "-1d"):
                asked = await asyncio.to_thread(ask_for_lease, redis, skewed(preload, FAKETIME=offset))
                assert asked == "False"
        assert await asyncio.to_thread(ask_for_lease, redis, skewed(preload, FAKETIME="+1d")) == "True"
        await lock.close()


def ask_for_lease(redis: RedisServer, machine: dict[str, str]) -> str:
    """Returns whether a program on that machine gets the lease."""
    command = [sys.executable, "-c", ASK_FOR_LEASE, redis.url]
    return subprocess.run(
        command, env=machine, text=True, capture_output=True, check=True, timeout=GUARD
    ).stdout.strip()


def gc_in_the_middle_of_an_upload(cluster: Cluster, service: Service, machine: dict[str, str]) -> int:
    """Runs gc on a machine for which the upload's rows are a day old. Returns the upload's status."""
    with upload_half_way(service) as connection:
        refused = darkroom(cluster.machine("off"), "gc", **cluster.settings | machine)
        assert refused.returncode == 1
        assert "clock" in refused.stderr
        return finish(connection)


@contextmanager
def upload_half_way(service: Service) -> Iterator[socket]:
    raw = wire.upload(PICTURE)
    with wire.connect(service.url) as connection:
        connection.sendall(raw[: len(raw) // 2])
        until(lambda: list((service.folder / "data" / "tmp").glob("*")))
        yield connection


def finish(connection: socket) -> int:
    """Returns the status."""
    raw = wire.upload(PICTURE)
    connection.sendall(raw[len(raw) // 2 :])
    return int(connection.recv(100).split()[1])


class TestSetWhileItRuns:
    @pytest.mark.promise("E8")
    @pytest.mark.parametrize("offset", [pytest.param("+1d", marks=pytest.mark.long), "-1d"])
    def test_clock_set_by_a_day_during_work_changes_nothing(
        self, tmp_path: Path, judge: Judge, preload: str, offset: str
    ) -> None:
        """In the middle of an upload, during warm-ups."""
        (tmp_path / "darkroom.toml").write_text(TINY)
        clock = tmp_path / "clock"
        clock.write_text("+0\n")
        machine = skewed(preload, FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_CACHE_DURATION="1")
        with Service(tmp_path, RENDER_PROCESSES="1", UPLOAD_STALL_TIMEOUT="60", **machine) as service:
            upload_ids = [uploaded(service) for _ in range(3)]
            with upload_half_way(service) as connection:
                clock.write_text(f"{offset}\n")
                until(lambda: off_by(service) > timedelta(hours=23))
                assert finish(connection) == 201
            upload_ids.append(uploaded(service))
            until(lambda: complete(service, *upload_ids))
            pictures = [service.url + path for upload_id in upload_ids for path in paths(upload_id, NAMES)]
            assert judge.outcomes(pictures) == {"ok"}
            assert http.delete(f"{service.url}/images/{upload_ids[0]}").status_code == 204
            judge.deleted(upload_ids[0])
            assert judge.get(pictures[0]).status == 404
            service.stop()
        assert not collect(tmp_path)
