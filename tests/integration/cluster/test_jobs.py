"""No job is lost or blocks others when a process is killed or stopped."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.records import JobStatus
from tests.client import complete, status, until, upload
from tests.cluster import Cluster
from tests.http_client import http
from tests.soak.workers import soak


class TestNoLostJob:
    @pytest.mark.promise("E2")
    @pytest.mark.parametrize(
        ("uploads", "every"),
        [pytest.param(24, 1.5, marks=pytest.mark.slow), pytest.param(200, 4, marks=pytest.mark.long)],
    )
    def test_killed_workers_and_an_emptied_redis_lose_no_job(
        self, impatient: Cluster, uploads: int, every: float
    ) -> None:
        """`python -m tests.soak.workers` also runs it with killed workers alone."""
        soaked = soak(impatient, uploads, every=every, empty_redis=True)

        assert soaked.kills >= max(1, uploads // 40)

    @pytest.mark.slow
    @pytest.mark.promise("E6")
    def test_stopping_worker_hands_its_job_to_the_next(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.ingest() as ingest:
            with cluster.worker("first") as first:
                upload_ids = [upload(ingest, photograph) for _ in range(2)]
                until(lambda: "processing" in [status(ingest, upload_id) for upload_id in upload_ids])
                first.stop()
            assert "Traceback" not in first.log()
            assert "processing" not in [status(ingest, upload_id) for upload_id in upload_ids]
            with cluster.worker("second"):
                until(lambda: complete(ingest, *upload_ids))

    @pytest.mark.slow
    def test_stopped_service_continues_its_jobs_after_the_next_start(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.serve() as service:
            upload_ids = [upload(service, photograph) for _ in range(2)]
            until(lambda: "processing" in [status(service, upload_id) for upload_id in upload_ids])
            service.stop()
            assert "Traceback" not in service.log()
            service.start()
            until(lambda: complete(service, *upload_ids))


@pytest.mark.promise("C11")
@pytest.mark.slow
def test_live_request_does_not_wait_for_queued_warm_ups(cluster: Cluster, photograph: bytes) -> None:
    with cluster.serve(RENDER_PROCESSES="1") as service:
        upload_ids = [upload(service, photograph) for _ in range(6)]
        last = upload_ids[-1]

        answer = http.get(f"{service.url}/images/{last}/medium.jpg")

        assert answer.status_code == 200
        assert answer.headers["cache-status"] == "darkroom; fwd=miss; stored"
        assert cluster.statuses()[JobStatus.PENDING] >= 2
        assert status(service, last) == "pending"


@pytest.mark.promise("E10")
@pytest.mark.slow
def test_sigterm_finishes_requests_in_flight_and_stores_their_variants(cluster: Cluster, photograph: bytes) -> None:
    with cluster.ingest() as ingest:
        upload_id = upload(ingest, photograph)
    names = ["large@2x.avif", "large.avif", "medium@2x.avif", "medium.avif"]
    with cluster.proxy("proxy") as proxy, ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(http.get, f"{proxy.url}/images/{upload_id}/{name}") for name in names for _ in range(3)]
        until(lambda: proxy.metric("darkroom_render_waiting") >= 2)
        time.sleep(0.1)  # for callers that join, which no metric shows
        proxy.stop()
        assert [answer.result().status_code for answer in asked] == [200] * 12
        assert "Traceback" not in proxy.log()
    assert sorted(cluster.objects("images/")) == sorted(f"images/{upload_id}/{name}" for name in names)
