"""Redis or Postgres away: what goes on without them."""

from tests.client import GUARD, complete, status, until, upload
from tests.cluster import TINY, Cluster, small_picture
from tests.http_client import http
from tests.postgres import PostgresServer
from tests.service import Service


class TestRedisAway:
    def test_all_goes_on_and_jobs_follow_when_it_is_back(self, cluster: Cluster) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        with cluster.ingest() as ingest, cluster.proxy("proxy") as proxy, cluster.worker():
            before = upload(ingest, small_picture(1))
            until(lambda: complete(ingest, before))
            cluster.redis.kill()

            meanwhile = upload(ingest, small_picture(2))
            for upload_id in (before, meanwhile):
                answer = http.get(f"{proxy.url}/images/{upload_id}/small.webp", timeout=GUARD)
                assert answer.status_code == 200
            assert http.get(f"{proxy.url}/readyz").status_code == 200
            assert http.get(f"{ingest.url}/readyz").status_code == 200
            assert proxy.metric("darkroom_lock_fallbacks_total") >= 1

            cluster.redis.start()
            until(lambda: complete(ingest, meanwhile))
            after = upload(ingest, small_picture(3))
            until(lambda: complete(ingest, after))

    def test_hanging_in_the_middle_of_a_warm_up_which_holds_nobody_up(
        self, cluster: Cluster, photograph: bytes
    ) -> None:
        with cluster.serve() as service:
            upload_id, other = upload(service, photograph), upload(service, photograph)
            until(lambda: "processing" in (status(service, upload_id), status(service, other)))
            cluster.redis.pause()
            until(lambda: "complete" in (status(service, upload_id), status(service, other)))
            for name in ("small@2x.jpg", "small@3x.jpg"):
                assert http.get(f"{service.url}/images/{other}/{name}", timeout=GUARD).status_code == 200
            cluster.redis.resume()
            until(lambda: complete(service, upload_id, other))

    def test_at_the_start_of_everything(self, cluster: Cluster) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        cluster.redis.kill()
        with cluster.ingest() as ingest, cluster.proxy("proxy") as proxy, cluster.worker():
            upload_id = upload(ingest, small_picture(1))
            assert http.get(f"{proxy.url}/images/{upload_id}/tiny.png").status_code == 200
            cluster.redis.start()
            until(lambda: complete(ingest, upload_id))


class TestPostgresAway:
    def test_uploads_are_refused_and_pictures_served(self, cluster: Cluster, postgres: PostgresServer) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        with cluster.serve() as service, cluster.proxy("proxy") as proxy:
            upload_id = upload(service, small_picture(1))
            until(lambda: complete(service, upload_id))
            objects = sorted(cluster.objects())
            postgres.kill()
            try:
                health = http.get(f"{service.url}/readyz", timeout=GUARD)
                assert health.status_code == 503
                assert health.json()["checks"]["store"] == "ok"
                assert health.json()["checks"]["database"] != "ok"
                refused = http.post(
                    f"{service.url}/images/upload", files={"image": ("photo.jpg", small_picture(2))}, timeout=GUARD
                )
                assert (refused.status_code, refused.json()["code"]) == (503, "catalog_unavailable")
                assert int(refused.headers["retry-after"]) > 0
                assert sorted(cluster.objects()) == objects
                for origin in (service, proxy):
                    for name in ("small.jpg", "small@2x.jpg", "tiny@3x.webp"):  # stored, and not
                        assert http.get(f"{origin.url}/images/{upload_id}/{name}").status_code == 200
                assert http.get(f"{proxy.url}/readyz").status_code == 200
            finally:
                postgres.start()
            until(lambda: http.get(f"{service.url}/readyz", timeout=GUARD).status_code == 200)
            again = upload(service, small_picture(3))
            until(lambda: complete(service, again))
            assert len(cluster.rows()[0]) == 2

    def test_a_wrong_password_is_said_and_pictures_are_served(self, cluster: Cluster, postgres: PostgresServer) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        with cluster.ingest() as ingest:
            upload_id = upload(ingest, small_picture(1))
        wrong = postgres.url(cluster.database_url.rpartition("/")[2], password="open-sesame")
        machine = cluster.machine("wrong")
        with Service(machine, ready="/healthz", **cluster.settings | {"DATABASE_URL": wrong}) as service:
            health = http.get(f"{service.url}/readyz")
            assert health.status_code == 503
            assert health.json()["checks"]["database"] != "ok"
            assert http.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 200
            refused = http.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", small_picture(2))})
            assert (refused.status_code, refused.json()["code"]) == (503, "catalog_unavailable")
            assert "open-sesame" not in service.log() + health.text + refused.text
