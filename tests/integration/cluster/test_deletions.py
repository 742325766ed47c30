"""A deletion removes an upload everywhere."""

import time

import pytest

from tests.client import complete, status, until, upload
from tests.cluster import Cluster, small_picture
from tests.http_client import http

pytestmark = pytest.mark.slow


def test_deletion_during_a_warm_up_leaves_nothing(cluster: Cluster, photograph: bytes) -> None:
    with cluster.ingest() as ingest, cluster.worker("worker", "--concurrency", "2") as worker:
        for delay in (0.0, 0.3, 0.9):
            upload_id = upload(ingest, photograph)
            until(lambda upload_id=upload_id: status(ingest, upload_id) != "pending")
            time.sleep(delay)
            assert http.delete(f"{ingest.url}/images/{upload_id}").status_code == 204
            assert http.get(f"{ingest.url}/images/{upload_id}").status_code == 404
        last = upload(ingest, small_picture(1))
        until(lambda: complete(ingest, last))
        worker.stop()  # once it has finished the running derivations
        assert {key.split("/")[1] for key in cluster.objects()} == {last}
        assert cluster.rows() == ([last], [last])


def test_deletion_empties_the_memory_cache_of_every_process(tiny: Cluster) -> None:
    with tiny.ingest(WARM_UP="false") as ingest, tiny.proxy("proxy-1") as first, tiny.proxy("proxy-2") as second:
        upload_id = upload(ingest, small_picture(1))
        urls = [f"{proxy.url}/images/{upload_id}/small.jpg" for proxy in (first, second)]
        assert [http.get(url).status_code for url in (*urls, *urls)] == [200] * 4
        assert [http.get(url).headers["cache-status"] for url in urls] == ["darkroom; hit"] * 2

        assert http.delete(f"{ingest.url}/images/{upload_id}").status_code == 204

        until(lambda: [http.get(url).status_code for url in urls] == [404, 404], seconds=5)
