"""The processes of deploy/compose.yaml, without containers: nginx before proxy and ingest, a worker, real servers."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.cluster import Cluster
from tests.conftest import need
from tests.pictures import camera_jpeg
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import free_port

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
CONFIGURATION = Path(__file__).parents[2] / "nginx.conf"


@contextmanager
def nginx(folder: Path, proxy_url: str, ingest_url: str) -> Iterator[str]:
    """The shipped nginx.conf, with this machine's addresses for the containers' names; its URL."""
    port = free_port()
    text = CONFIGURATION.read_text()
    for name, address in {
        "server proxy:8000": f"server {proxy_url.removeprefix('http://')}",
        "server ingest:8000": f"server {ingest_url.removeprefix('http://')}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "http {": f"pid {folder}/nginx.pid;\nhttp {{ access_log off; client_body_temp_path {folder}/body;"
        f" proxy_temp_path {folder}/proxy;",
    }.items():
        assert text.count(name) == 1
        text = text.replace(name, address)
    (folder / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_uploads_jobs_and_pictures_go_their_ways(
    tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer
) -> None:
    need(NGINX, "nginx-light")
    cluster = Cluster.create(tmp_path, redis, postgres, seaweedfs)
    (tmp_path / "edge").mkdir()
    with (
        cluster.proxy("proxy") as proxy,
        cluster.ingest(API_KEYS="key") as ingest,
        cluster.worker(),
        nginx(tmp_path / "edge", proxy.url, ingest.url) as url,
        httpx.Client(base_url=url, timeout=30, headers={"Authorization": "Bearer key"}) as client,
    ):
        until_up = time.monotonic() + 20
        while time.monotonic() < until_up:
            try:
                if client.get("/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)

        answer = client.post("/images/upload", files={"image": ("photo.jpg", camera_jpeg())})
        assert answer.status_code == 201, answer.text
        upload_id = answer.json()["uploadId"]
        assert httpx.get(f"{url}/images/{upload_id}").status_code == 401

        with client.stream("GET", f"/images/{upload_id}/events") as events:
            assert any('"status": "complete"' in line for line in events.iter_lines())

        picture = httpx.get(f"{url}/images/{upload_id}/large.webp")
        assert (picture.status_code, picture.headers["cache-status"]) == (200, "darkroom; hit")
        assert (
            httpx.get(f"{url}/images/{upload_id}/large@2x.webp")
            .headers["cache-status"]
            .startswith("darkroom; fwd=miss")
        )
        assert httpx.get(f"{url}/images/{upload_id}/enormous.webp").status_code == 404

        too_large = client.post("/images/upload", files={"image": ("photo.jpg", b"\xff\xd8\xff" + bytes(11 << 20))})
        assert too_large.status_code == 413

        assert client.delete(f"/images/{upload_id}").status_code == 204
        assert httpx.get(f"{url}/images/{upload_id}/large@3x.webp").status_code == 404
    assert cluster.objects() == []
    assert cluster.rows() == ([], [])
