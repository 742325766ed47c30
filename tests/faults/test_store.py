"""A slow, silent, broken or failing store: what callers see, for how long, and that nothing wrong is stored."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ingest.maintenance.garbage_collector import GarbageKind
from tests.client import complete, until
from tests.cluster import Cluster
from tests.faults.garbage import collect
from tests.faults.judge import MARGIN, RENDER_TIMEOUT, Judge
from tests.faults.proxy import S3Link, s3_error
from tests.faults.scene import (
    MORE,
    NAMES,
    alive,
    by_tier,
    paths,
    process,
    ready,
    refused_upload,
    unready,
    upload,
    uploaded,
    urls,
)
from tests.http_client import http
from tests.service import Service

RECOVERED = 2.0 + MARGIN  # seconds until normal service


UPLOAD = 15.0  # seconds for two tries to put into a silent store, and two to delete again


UNREACHABLE: dict[str, dict[str, Any]] = {
    "refused": {"refuse": True},
    "reset": {"reset": True},
    "silent": {"stall": True},
    "half closed": {"half_close": True},
}


S3_ERRORS = {"InternalError": 500, "SlowDown": 503, "RequestTimeTooSkewed": 403, "AccessDenied": 403}


@contextmanager
def store_outage(cluster: Cluster, link: S3Link, service: Service, judge: Judge) -> Iterator[str]:
    """Checks the behaviour during any store outage, which the caller causes. Yields an upload from before it."""
    upload_id = uploaded(service)
    [hot] = urls(service, upload_id, ["small.jpg"])
    assert judge.get(hot).status == 200
    until(lambda: cluster.objects(f"images/{upload_id}"))
    before, rows = cluster.objects(), cluster.rows()

    yield upload_id

    assert judge.get(hot).headers["cache-status"] == "darkroom; hit"
    assert alive(service)
    checks = unready(service)
    assert checks["store"] != "ok"
    assert checks["database"] == "ok"

    link.heal()
    start = time.monotonic()
    until(lambda: judge.get(f"{service.url}/images/{upload_id}/small.webp").status == 200, RECOVERED)
    assert time.monotonic() - start < RECOVERED
    until(lambda: ready(service) is None, RECOVERED)
    assert cluster.rows() == rows
    # An abandoned put may still arrive, long after its deletion.
    assert {*collect(service.folder, **cluster.settings)} <= {GarbageKind.ORPHAN, GarbageKind.TEMPORARY}
    left, expected = ({key for key in keys if not key.startswith("trash/")} for keys in (cluster.objects(), before))
    assert left - {f"images/{upload_id}/small.webp"} == expected
    again = uploaded(service)
    assert judge.outcomes(urls(service, again, NAMES)) == {"ok"}
    assert http.delete(f"{service.url}/images/{again}").status_code == 204


@pytest.mark.promise("E1")
@pytest.mark.parametrize("fault", by_tier(UNREACHABLE, daily="refused", long=["half closed"]))
def test_unreachable_store_returns_503_within_the_deadline(
    cluster: Cluster, link: S3Link, service: Service, judge: Judge, fault: dict[str, Any]
) -> None:
    with store_outage(cluster, link, service, judge) as upload_id:
        link.break_(**fault)
        assert judge.outcomes(urls(service, upload_id, MORE[:8])) == {"store_unavailable"}
        refused_upload(service, "store_unavailable", within=UPLOAD)


@pytest.mark.promise("E1", "E8")
@pytest.mark.parametrize("code", by_tier({code: code for code in S3_ERRORS}, long=S3_ERRORS.keys() - {"SlowDown"}))
def test_store_errors_return_503_and_keep_nothing(
    cluster: Cluster, link: S3Link, service: Service, judge: Judge, code: str
) -> None:
    with store_outage(cluster, link, service, judge) as upload_id:
        errors = service.metric("darkroom_store_errors_total", code=code)
        link.answer = lambda _method, _path: s3_error(S3_ERRORS[code], code)
        assert judge.outcomes(urls(service, upload_id, MORE[:8])) == {"store_unavailable"}
        refused_upload(service, "store_unavailable", within=UPLOAD)
        assert service.metric("darkroom_store_errors_total", code=code) >= errors + 5


@pytest.mark.promise("E1")
@pytest.mark.slow
def test_slow_store_serves_correct_variants(link: S3Link, service: Service, judge: Judge) -> None:
    """300 ms for each round trip, 100 kB a second: variants are late but correct."""
    upload_id = uploaded(service)
    link.break_(delay=0.15, bandwidth=100_000)
    again = uploaded(service)

    for each in (upload_id, again):
        assert judge.outcomes(urls(service, each, NAMES[:3])) == {"ok"}
    assert ready(service) is None
    assert service.metric("darkroom_store_circuit_open") == 0


@pytest.mark.slow
class TestCutInTheMiddle:
    CUT = 1500  # bytes of a response: its head, and a part of any image here

    @pytest.mark.promise("E1")
    def test_original_cut_off_is_never_rendered(
        self, cluster: Cluster, link: S3Link, service: Service, judge: Judge
    ) -> None:
        upload_id = uploaded(service)
        link.break_(cut_after=self.CUT)

        assert judge.outcomes(urls(service, upload_id, NAMES)) == {"store_unavailable"}

        assert cluster.objects(f"images/{upload_id}") == []
        assert not [*(service.folder / "data" / "tmp").glob("*")]
        link.heal()
        until(lambda: judge.get(urls(service, upload_id, NAMES)[0]).status == 200, RECOVERED)
        assert judge.outcomes(urls(service, upload_id, NAMES)) == {"ok"}

    @pytest.mark.promise("E1")
    def test_variant_cut_off_is_never_served(
        self, cluster: Cluster, link: S3Link, service: Service, judge: Judge
    ) -> None:
        upload_id = uploaded(service)
        large = [name for name in MORE if len(judge.truth[name]) > 2 * self.CUT]
        assert len(large) >= 2
        with cluster.proxy("other") as other:
            judge.get_all(urls(other, upload_id, large))
            until(lambda: len(cluster.objects(f"images/{upload_id}")) == len(large))
        link.break_(cut_after=self.CUT)

        assert judge.outcomes(urls(service, upload_id, large)) == {"store_unavailable"}
        link.heal()
        until(lambda: judge.get(urls(service, upload_id, large)[0]).status == 200, RECOVERED)

    @pytest.mark.promise("E1")
    def test_write_cut_off_is_whole_or_absent(
        self, cluster: Cluster, link: S3Link, service: Service, judge: Judge
    ) -> None:
        """A put whose response is cut off may or may not be stored; stored bytes are correct."""
        upload_id = uploaded(service)
        puts = 0

        def answer(method: str, _path: str) -> bytes | None:
            nonlocal puts
            puts += method == "PUT"
            return b"" if method == "PUT" else None

        link.answer = answer
        assert judge.outcomes(urls(service, upload_id, NAMES)) == {"ok"}
        until(lambda: puts >= 5)
        link.heal()

        with cluster.proxy("other") as other:
            assert judge.outcomes(urls(other, upload_id, NAMES)) == {"ok"}


@pytest.mark.slow
class TestPilingUp:
    CROWD = 200

    @pytest.mark.promise("E1")
    @pytest.mark.serial
    def test_silent_store_bounds_waiting_requests(self, link: S3Link, service: Service, judge: Judge) -> None:
        upload_ids = [uploaded(service) for _ in range(self.CROWD // len(NAMES))]
        crowd = [path for upload_id in upload_ids for path in paths(upload_id, NAMES)]
        resident = process(service, "VmRSS")
        link.break_(stall=True)

        first = judge.crowd(service.url, crowd, within=RENDER_TIMEOUT + MARGIN)
        assert Counter(answer.status for answer in first) == {503: len(crowd)}
        assert service.metric("darkroom_store_circuit_open", calls="reads") == 1
        second = judge.crowd(service.url, crowd, within=RENDER_TIMEOUT + MARGIN)
        assert {answer.status for answer in second} == {503}
        # One of them may be the probe.
        assert sum(answer.seconds > 2 for answer in second) <= 2
        assert statistics.median(answer.seconds for answer in second) < 1
        assert {answer.headers["retry-after"] for answer in second} <= {"1", "5"}
        assert process(service, "Threads") < 32 + 40 + 16
        assert process(service, "VmRSS") - resident < 100_000

        link.heal()
        start = time.monotonic()
        until(lambda: judge.get(service.url + crowd[0]).status == 200, RECOVERED)
        assert time.monotonic() - start < RECOVERED
        assert judge.outcomes([service.url + path for path in crowd[:8]]) == {"ok"}
        assert service.metric("darkroom_store_circuit_open") == 0

    @pytest.mark.promise("E1")
    def test_blocked_writes_do_not_delay_reads(
        self, cluster: Cluster, link: S3Link, service: Service, judge: Judge
    ) -> None:
        """A bucket that rejects writes: variants are still served from it and derived."""
        upload_id = uploaded(service)
        link.answer = lambda method, _path: s3_error(503, "SlowDown") if method == "PUT" else None

        assert judge.outcomes(urls(service, upload_id, NAMES + MORE[:8])) == {"ok"}
        assert ready(service) is None
        until(lambda: service.metric("darkroom_store_circuit_open", calls="writes") == 1)
        assert service.metric("darkroom_store_circuit_open", calls="reads") == 0
        assert judge.outcomes(urls(service, upload_id, MORE[8:])) == {"ok"}
        refused_upload(service, "store_unavailable", within=UPLOAD)
        assert cluster.objects(f"images/{upload_id}") == []

        link.heal()
        until(lambda: upload(service).status_code == 201, RECOVERED)


@pytest.mark.promise("E1")
@pytest.mark.slow
def test_warm_ups_complete_after_a_store_outage(cluster: Cluster, link: S3Link) -> None:
    link.heal()
    with cluster.ingest() as ingest, cluster.worker(S3_ENDPOINT_URL=link.url):
        link.break_(stall=True)
        upload_ids = [uploaded(ingest) for _ in range(2)]
        time.sleep(8)
        link.heal()
        until(lambda: complete(ingest, *upload_ids))
    assert [len(cluster.objects(f"images/{upload_id}")) for upload_id in upload_ids] == [len(NAMES)] * 2
