"""A store that refuses or damages single objects: other uploads are not affected."""

import time

import pytest

from proxy.storage.circuit_breaker import FAILURES
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
