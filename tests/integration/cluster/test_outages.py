"""Outages of Redis and Postgres: what still works."""

import pytest

from tests.client import complete, status, until, upload
from tests.cluster import Cluster, small_picture
from tests.http_client import http
from tests.postgres import PostgresServer
from tests.service import PATIENT, Service
from tests.waiting import GUARD

pytestmark = pytest.mark.slow


class TestRedisOutage:
    @pytest.mark.promise("E2")
    def test_uploads_during_a_redis_outage_are_accepted_and_warmed_up_afterwards(self, tiny: Cluster) -> None:
        """Redis is down at the start, and again later."""
        known: list[str] = []
        tiny.redis.kill()
        with tiny.ingest() as ingest, tiny.proxy("proxy") as proxy, tiny.worker():
            for seed in (1, 2):
                fallbacks = proxy.metric("darkroom_lease_fallbacks_total")
                known.append(upload(ingest, small_picture(seed)))
                for upload_id in known:
                    url = f"{proxy.url}/images/{upload_id}/small.webp"
                    assert http.get(url).status_code == 200
                assert http.get(f"{proxy.url}/readyz").status_code == 200
                assert http.get(f"{ingest.url}/readyz").status_code == 200
                assert proxy.metric("darkroom_lease_fallbacks_total") > fallbacks

                tiny.redis.start()
                until(lambda: complete(ingest, *known))
                known.append(upload(ingest, small_picture(seed + 10)))
                until(lambda: complete(ingest, *known))
                tiny.redis.kill()

    def test_redis_hanging_during_a_warm_up_delays_no_request(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.serve(RENDER_PROCESSES="2", **PATIENT) as service:  # a returned job would wait for Redis
            upload_id, other = upload(service, photograph), upload(service, photograph)
            until(lambda: "processing" in (status(service, upload_id), status(service, other)))
            cluster.redis.pause()
            until(lambda: "complete" in (status(service, upload_id), status(service, other)))
            for name in ("small@2x.jpg", "small@3x.jpg"):
                assert http.get(f"{service.url}/images/{other}/{name}").status_code == 200
            cluster.redis.resume()
            until(lambda: complete(service, upload_id, other))


class TestPostgresOutage:
    @pytest.mark.promise("E3")
    def test_postgres_outage_refuses_uploads_and_serves_variants(self, tiny: Cluster, postgres: PostgresServer) -> None:
        with tiny.serve() as service, tiny.proxy("proxy") as proxy:
            upload_id = upload(service, small_picture(1))
            until(lambda: complete(service, upload_id))
            objects = sorted(tiny.objects())
            postgres.kill()
            try:
                until(lambda: http.get(f"{service.url}/readyz").status_code == 503)
                health = http.get(f"{service.url}/readyz")
                assert health.json()["checks"]["store"] == "ok"
                assert health.json()["checks"]["database"] != "ok"
                refused = http.post(
                    f"{service.url}/images/upload", files={"image": ("photo.jpg", small_picture(2))}, timeout=GUARD
                )
                assert (refused.status_code, refused.json()["code"]) == (503, "catalog_unavailable")
                assert int(refused.headers["retry-after"]) > 0
                assert sorted(tiny.objects()) == objects
                for origin in (service, proxy):
                    for name in ("small.jpg", "small@2x.jpg", "tiny@3x.webp"):  # a stored and a new one
                        assert http.get(f"{origin.url}/images/{upload_id}/{name}").status_code == 200
                assert http.get(f"{proxy.url}/readyz").status_code == 200
            finally:
                postgres.start()
            until(lambda: http.get(f"{service.url}/readyz").status_code == 200)
            again = upload(service, small_picture(3))
            until(lambda: complete(service, again))
            assert len(tiny.rows()[0]) == 2

    @pytest.mark.promise("E3")
    def test_wrong_database_password_is_reported_and_variants_are_served(
        self, tiny: Cluster, postgres: PostgresServer
    ) -> None:
        with tiny.ingest() as ingest:
            upload_id = upload(ingest, small_picture(1))
        wrong = postgres.url(tiny.database_url.rpartition("/")[2], password="open-sesame")
        machine = tiny.machine("wrong")
        with Service(machine, ready="/healthz", **tiny.settings | {"DATABASE_URL": wrong}) as service:
            health = http.get(f"{service.url}/readyz")
            assert health.status_code == 503
            assert health.json()["checks"]["database"] != "ok"
            assert http.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 200
            refused = http.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", small_picture(2))})
            assert (refused.status_code, refused.json()["code"]) == (503, "catalog_unavailable")
            assert "open-sesame" not in service.log() + health.text + refused.text
