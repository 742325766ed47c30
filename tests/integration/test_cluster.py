"""Many machines: one derivation, no lost job, and what goes on while Redis or Postgres is away. Real processes, all."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ingest.jobs import JobStatus
from tests.cluster import TINY, Cluster, small_picture
from tests.pictures import camera_jpeg
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Service
from tests.soak.workers import soak

GUARD = 60  # seconds until a test gives up waiting for what should happen
PROXIES, CALLERS = 4, 250


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """12 megapixels: a large AVIF of it takes a second."""
    return camera_jpeg()


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer) -> Cluster:
    return Cluster.create(tmp_path, redis, postgres, seaweedfs)


@dataclass(frozen=True)
class Answer:
    status: int
    cache_status: str
    body: bytes


async def ask(url: str, start: asyncio.Event, connected: Callable[[], None]) -> Answer:
    """One GET on a connection of its own, sent when all the others are. Raises where the server hangs up."""
    host, _, rest = url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    reader, writer = await asyncio.open_connection(host, int(port))
    connected()
    await start.wait()
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert int(headers["content-length"]) == len(body)
    return Answer(int(lines[0].split()[1]), headers.get("cache-status", ""), body)


async def at_once(urls: Sequence[str]) -> list[Answer]:
    start, waiting = asyncio.Event(), len(urls)

    def connected() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            start.set()

    async with asyncio.timeout(GUARD):
        return await asyncio.gather(*(ask(url, start, connected) for url in urls))


def upload(service: Service, picture: bytes) -> str:
    answer = httpx.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", picture)}, timeout=GUARD)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def until(condition: Callable[[], object], seconds: float = GUARD) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds:g} s"
        time.sleep(0.02)


def status(service: Service, upload_id: str) -> str:
    return str(httpx.get(f"{service.url}/images/{upload_id}/status").json()["status"])


def complete(service: Service, *upload_ids: str) -> bool:
    return {status(service, upload_id) for upload_id in upload_ids} == {"complete"}


def derivations(*services: Service) -> float:
    return sum(service.metric("darkroom_derivations_total") for service in services)


class TestOneDerivation:
    def assert_one(self, proxies: Sequence[Service], upload_id: str) -> None:
        answers = asyncio.run(at_once([f"{proxy.url}/images/{upload_id}/medium.webp" for proxy in proxies] * CALLERS))

        assert Counter(answer.status for answer in answers) == {200: PROXIES * CALLERS}
        assert len({answer.body for answer in answers}) == 1
        assert derivations(*proxies) == 1
        assert sum(answer.cache_status == "darkroom; fwd=miss; stored" for answer in answers) == 1

    def test_of_four_processes_with_a_thousand_callers(self, cluster: Cluster, photograph: bytes) -> None:
        with ExitStack() as stack:
            with cluster.ingest() as ingest:
                upload_id = upload(ingest, photograph)
            proxies = [stack.enter_context(cluster.proxy(f"proxy-{number}")) for number in range(PROXIES)]
            self.assert_one(proxies, upload_id)
            assert [proxy.metric("darkroom_lock_fallbacks_total") for proxy in proxies] == [0] * PROXIES
        assert cluster.objects("images/") == [f"images/{upload_id}/medium.webp"]

    def test_of_four_processes_that_share_a_folder_and_no_redis(self, tmp_path: Path, photograph: bytes) -> None:
        settings = {"DATA_DIR": str(tmp_path / "data"), "RENDER_PROCESSES": "1"}
        with ExitStack() as stack:
            with Service(tmp_path / "ingest", "--role", "ingest", WARM_UP="false", **settings) as ingest:
                upload_id = upload(ingest, photograph)
            proxies = [
                stack.enter_context(Service(tmp_path / f"proxy-{number}", "--role", "proxy", **settings))
                for number in range(PROXIES)
            ]
            self.assert_one(proxies, upload_id)

    def test_of_a_warm_up_and_those_who_ask_meanwhile(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.ingest() as ingest, cluster.proxy("proxy") as proxy, cluster.worker():
            upload_id = upload(ingest, photograph)
            until(lambda: status(ingest, upload_id) == "processing")
            url = f"{proxy.url}/images/{upload_id}/small.webp"  # the last to be made
            answers = asyncio.run(at_once([url] * 20))
            until(lambda: complete(ingest, upload_id))
            assert Counter(answer.status for answer in answers) == {200: 20}
            assert len({answer.body for answer in answers}) == 1
            assert httpx.get(url).content == answers[0].body


@pytest.mark.parametrize("shared", ["redis", "folder"])
def test_a_holder_that_is_killed_delays_the_others_by_seconds(cluster: Cluster, photograph: bytes, shared: str) -> None:
    folder = cluster.folder / "shared"
    settings = {"RENDER_PROCESSES": "1", "DATA_DIR": str(folder)} if shared == "folder" else cluster.store_settings
    if shared == "redis":
        settings["REDIS_URL"] = cluster.redis.url
    with Service(cluster.folder / "ingest", "--role", "ingest", WARM_UP="false", **settings) as ingest:
        upload_id = upload(ingest, photograph)

    def is_leased() -> object:
        if shared == "folder":
            return list(folder.glob("locks/*.lock"))
        with cluster.redis.client() as client:
            return client.keys("darkroom:images/*")

    with (
        Service(cluster.folder / "holder", "--role", "proxy", **settings) as holder,
        Service(cluster.folder / "other", "--role", "proxy", **settings) as other,
        ThreadPoolExecutor() as pool,
    ):
        path = f"/images/{upload_id}/large.avif"
        broken = pool.submit(httpx.get, holder.url + path, timeout=GUARD)
        until(is_leased)
        waiting = [pool.submit(httpx.get, other.url + path, timeout=GUARD) for _ in range(3)]
        time.sleep(0.1)
        holder.kill()

        assert [answer.result().status_code for answer in waiting] == [200] * 3

        with pytest.raises(httpx.TransportError):
            broken.result()
        assert derivations(other) == 1


class TestNoLostJob:
    def test_though_workers_are_killed_and_redis_forgets_everything(self, cluster: Cluster) -> None:
        """`python -m tests.soak.workers` does it with more, and with the workers' deaths alone."""
        soaked = soak(cluster, 40, every=2, empty_redis=True)

        assert soaked.kills >= 2

    def test_when_a_worker_is_told_to_stop(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.ingest() as ingest:
            with cluster.worker("first") as first:
                upload_ids = [upload(ingest, photograph) for _ in range(3)]
                until(lambda: "processing" in [status(ingest, upload_id) for upload_id in upload_ids])
                first.stop()
            assert "Traceback" not in first.log()
            assert "processing" not in [status(ingest, upload_id) for upload_id in upload_ids]
            with cluster.worker("second"):
                until(lambda: complete(ingest, *upload_ids))

    def test_when_the_whole_service_is_told_to_stop(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.serve() as service:
            upload_ids = [upload(service, photograph) for _ in range(2)]
            until(lambda: "processing" in [status(service, upload_id) for upload_id in upload_ids])
            service.stop()
            assert "Traceback" not in service.log()
            service.start()
            until(lambda: complete(service, *upload_ids))


class TestRedisAway:
    def test_all_goes_on_and_jobs_follow_when_it_is_back(self, cluster: Cluster) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        with cluster.ingest() as ingest, cluster.proxy("proxy") as proxy, cluster.worker():
            before = upload(ingest, small_picture(1))
            until(lambda: complete(ingest, before))
            cluster.redis.kill()

            meanwhile = upload(ingest, small_picture(2))
            for upload_id in (before, meanwhile):
                answer = httpx.get(f"{proxy.url}/images/{upload_id}/small.webp", timeout=GUARD)
                assert answer.status_code == 200
            assert httpx.get(f"{proxy.url}/readyz").status_code == 200
            assert httpx.get(f"{ingest.url}/readyz").status_code == 200
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
                assert httpx.get(f"{service.url}/images/{other}/{name}", timeout=GUARD).status_code == 200
            cluster.redis.resume()
            until(lambda: complete(service, upload_id, other))

    def test_at_the_start_of_everything(self, cluster: Cluster) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        cluster.redis.kill()
        with cluster.ingest() as ingest, cluster.proxy("proxy") as proxy, cluster.worker():
            upload_id = upload(ingest, small_picture(1))
            assert httpx.get(f"{proxy.url}/images/{upload_id}/tiny.png").status_code == 200
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
                health = httpx.get(f"{service.url}/readyz", timeout=GUARD)
                assert health.status_code == 503
                assert health.json()["checks"]["store"] == "ok"
                assert health.json()["checks"]["database"] != "ok"
                refused = httpx.post(
                    f"{service.url}/images/upload", files={"image": ("photo.jpg", small_picture(2))}, timeout=GUARD
                )
                assert (refused.status_code, refused.json()["code"]) == (503, "catalog_unavailable")
                assert int(refused.headers["retry-after"]) > 0
                assert sorted(cluster.objects()) == objects
                for origin in (service, proxy):
                    for name in ("small.jpg", "small@2x.jpg", "tiny@3x.webp"):  # stored, and not
                        assert httpx.get(f"{origin.url}/images/{upload_id}/{name}").status_code == 200
                assert httpx.get(f"{proxy.url}/readyz").status_code == 200
            finally:
                postgres.start()
            until(lambda: httpx.get(f"{service.url}/readyz", timeout=GUARD).status_code == 200)
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
            health = httpx.get(f"{service.url}/readyz")
            assert health.status_code == 503
            assert health.json()["checks"]["database"] != "ok"
            assert httpx.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 200
            refused = httpx.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", small_picture(2))})
            assert (refused.status_code, refused.json()["code"]) == (503, "catalog_unavailable")
            assert "open-sesame" not in service.log() + health.text + refused.text


def test_deleting_while_a_warm_up_runs_leaves_nothing(cluster: Cluster, photograph: bytes) -> None:
    with cluster.ingest() as ingest, cluster.worker("worker", "--concurrency", "2"):
        for delay in (0.0, 0.2, 0.5, 0.8, 1.2):
            upload_id = upload(ingest, photograph)
            until(lambda upload_id=upload_id: status(ingest, upload_id) != "pending")
            time.sleep(delay)
            assert httpx.delete(f"{ingest.url}/images/{upload_id}", timeout=GUARD).status_code == 204
            assert httpx.get(f"{ingest.url}/images/{upload_id}").status_code == 404
        last = upload(ingest, small_picture(1))
        until(lambda: complete(ingest, last))  # whatever the worker had in hand of the others is done by now
        time.sleep(1)
        assert {key.split("/")[1] for key in cluster.objects()} == {last}
        assert cluster.rows() == ([last], [last])


def test_a_deleted_picture_is_in_no_memory(cluster: Cluster, photograph: bytes) -> None:
    with (
        cluster.ingest(WARM_UP="false") as ingest,
        cluster.proxy("proxy-1") as first,
        cluster.proxy("proxy-2") as second,
    ):
        upload_id = upload(ingest, photograph)
        urls = [f"{proxy.url}/images/{upload_id}/small.jpg" for proxy in (first, second)]
        assert [httpx.get(url).status_code for url in (*urls, *urls)] == [200] * 4
        assert [httpx.get(url).headers["cache-status"] for url in urls] == ["darkroom; hit"] * 2

        assert httpx.delete(f"{ingest.url}/images/{upload_id}").status_code == 204

        until(lambda: [httpx.get(url).status_code for url in urls] == [404, 404], seconds=5)


def test_who_asks_for_a_picture_does_not_wait_behind_warm_ups(cluster: Cluster, photograph: bytes) -> None:
    with cluster.serve(RENDER_PROCESSES="2") as service:
        upload_ids = [upload(service, photograph) for _ in range(8)]
        last = upload_ids[-1]

        answer = httpx.get(f"{service.url}/images/{last}/medium.jpg", timeout=GUARD)

        assert answer.status_code == 200
        assert answer.headers["cache-status"] == "darkroom; fwd=miss; stored"
        assert cluster.statuses()[JobStatus.PENDING] >= 2
        assert status(service, last) == "pending"


def test_on_sigterm_requests_in_flight_are_answered_and_their_variants_stored(
    cluster: Cluster, photograph: bytes
) -> None:
    with cluster.ingest() as ingest:
        upload_id = upload(ingest, photograph)
    names = [f"large@{scale}.avif" for scale in ("2x", "3x")] + ["large.avif", "medium.avif"]
    with cluster.proxy("proxy", RENDER_TIMEOUT="30") as proxy, ThreadPoolExecutor(12) as pool:
        asked = [
            pool.submit(httpx.get, f"{proxy.url}/images/{upload_id}/{name}", timeout=GUARD)
            for name in names
            for _ in range(3)
        ]
        until(lambda: proxy.metric("darkroom_render_waiting") >= 2)
        time.sleep(0.1)  # for those who only join, which no metric shows
        proxy.stop()
        assert [answer.result().status_code for answer in asked] == [200] * 12
        assert "Traceback" not in proxy.log()
    assert sorted(cluster.objects("images/")) == sorted(f"images/{upload_id}/{name}" for name in names)


def test_the_proxy_imports_nothing_of_a_database() -> None:
    program = (
        "import json, sys; from proxy.settings import Settings; from proxy.web.app import create_app;"
        "create_app(Settings(redis_url='redis://127.0.0.1:1')); print(json.dumps(sorted(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)

    packages = {name.partition(".")[0] for name in json.loads(printed.stdout)}
    assert {"proxy", "starlette", "redis"} <= packages
    assert not packages & {"ingest", "sqlalchemy", "alembic", "asyncpg", "aiosqlite", "bullmq"}


def test_the_command_imports_nothing_of_a_database_for_the_proxys_role() -> None:
    program = "import json, sys, ingest.cli; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)

    packages = {name.partition(".")[0] for name in json.loads(printed.stdout)}
    assert not packages & {"sqlalchemy", "alembic", "asyncpg", "aiosqlite", "bullmq"}
