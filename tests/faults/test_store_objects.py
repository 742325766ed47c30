"""A store that refuses or damages single objects: other uploads are not affected."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.storage.circuit_breaker import FAILURES
from proxy.storage.s3 import _SLOTS
from tests.client import until
from tests.cluster import Cluster
from tests.faults.judge import Judge
from tests.faults.proxy import S3Link, s3_error
from tests.faults.scene import (
    MORE,
    NAMES,
    PICTURE,
    ready,
    upload,
    uploaded,
    urls,
)
from tests.http_client import http
from tests.service import Service


@pytest.mark.slow
class TestRefusedObjects:
    """Errors for single objects affect these objects only."""

    def test_refused_variants_do_not_affect_other_uploads(self, link: S3Link, service: Service, judge: Judge) -> None:
        refused, sound = uploaded(service), uploaded(service)
        assert judge.outcomes(urls(service, sound, NAMES)) == {"ok"}
        link.answer = lambda method, path: (
            s3_error(403, "InvalidObjectState") if method == "GET" and refused in path else None
        )

        for _ in range(3):
            assert judge.outcomes(urls(service, refused, NAMES)) == {"store_unavailable"}
        assert ready(service) is None
        assert service.metric("darkroom_store_circuit_open") == 0
        with_other_sizes = urls(service, sound, NAMES + MORE[:2])
        assert judge.outcomes(with_other_sizes) == {"ok"}

    def test_refused_deletions_do_not_affect_uploads(self, link: S3Link, service: Service) -> None:
        upload_ids = [uploaded(service) for _ in range(2 * FAILURES)]
        link.answer = lambda method, _path: s3_error(403, "AccessDenied") if method in ("DELETE", "POST") else None

        for upload_id in upload_ids:
            assert http.delete(f"{service.url}/images/{upload_id}").status_code == 503

        assert upload(service).status_code == 201
        assert service.metric("darkroom_store_circuit_open") == 0

    def test_originals_without_answers_delay_no_stored_variant(
        self, cluster: Cluster, link: S3Link, judge: Judge
    ) -> None:
        settings = {"WARM_UP": "false", "MEMORY_CACHE_MB": "0", "S3_ENDPOINT_URL": link.url}
        with cluster.serve("without memory", **settings) as service:
            sound, *slow = [uploaded(service) for _ in range(_SLOTS["reads"] + 6)]
            assert judge.outcomes(urls(service, sound, NAMES)) == {"ok"}
            until(lambda: len(cluster.objects(f"images/{sound}")) == len(NAMES))
            held = set()

            def holds(method: str, path: str) -> bool:
                is_download = method == "GET" and "/originals/" in path
                held.update([path] if is_download else [])
                return is_download

            link.holds = holds
            with ThreadPoolExecutor(len(slow)) as pool:
                cold = [pool.submit(http.get, url) for each in slow for url in urls(service, each, NAMES[:1])]
                until(lambda: len(held) >= _SLOTS["downloads"])
                time.sleep(0.5)  # for the others, if they could also begin
                assert judge.outcomes(urls(service, sound, NAMES)) == {"ok"}
                link.heal()
                assert {one.result().status_code for one in cold} <= {200, 503, 504}


@pytest.mark.promise("C9")
@pytest.mark.slow
def test_truncated_original_gets_422_and_stores_no_variant(cluster: Cluster, service: Service, judge: Judge) -> None:
    """The store returns half of the original: 422 for a minute, and nothing is stored."""
    upload_id = uploaded(service)
    key = f"originals/{upload_id}"
    cluster.seaweedfs.put(cluster.bucket, key, PICTURE[: len(PICTURE) // 2], "image/jpeg", "private")
    judge.deleted(upload_id)  # 422 is correct for it

    assert judge.outcomes(urls(service, upload_id, NAMES)) == {"undecodable"}
    time.sleep(0.5)
    assert cluster.objects(f"images/{upload_id}") == []
