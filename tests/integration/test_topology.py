"""The processes of deploy/compose.yaml without containers: nginx in front of proxy and ingest, a
worker, real servers.
"""

import json
from pathlib import Path

import httpx
import pytest
from boto3.session import Session

from tests.cluster import Cluster, small_picture
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, nginx
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT, darkroom

SIZES = "[sizes.small]\nwidth = 24\n[sizes.large]\nwidth = 48\n"


@pytest.mark.slow
def test_identity_of_compose_needs_no_rights_of_an_administrator(tmp_path: Path, seaweedfs: SeaweedServer) -> None:
    seaweedfs.create_bucket("darkroom")  # of the compose file
    settings = {
        "S3_BUCKET": "darkroom",
        "S3_ENDPOINT_URL": seaweedfs.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": seaweedfs.limited_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.limited_secret,
    }
    assert darkroom(tmp_path, "migrate", **settings).returncode == 0
    done = darkroom(tmp_path, "doctor", "--json", **settings)

    verdicts = {each["name"]: each["verdict"] for each in json.loads(done.stdout)}
    for name in ("object store", "listing", "conditional writes", "installation"):
        assert verdicts[name] == "ok", done.stdout

    limited = Session(seaweedfs.limited_key_id, seaweedfs.limited_secret, region_name="us-east-1").client(
        "s3", endpoint_url=seaweedfs.endpoint_url
    )
    with pytest.raises(limited.exceptions.ClientError, match="AccessDenied"):
        limited.create_bucket(Bucket="another")
    limited.close()


@pytest.mark.slow
def test_compose_topology_routes_uploads_jobs_and_variants(
    tmp_path: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer
) -> None:
    need(PROGRAM, "nginx-light")
    cluster = Cluster.create(tmp_path, redis, postgres, seaweedfs)
    (tmp_path / "edge").mkdir()
    (tmp_path / "darkroom.toml").write_text(SIZES)
    with (
        cluster.proxy("proxy", **PATIENT) as proxy,
        cluster.ingest(API_KEYS="key-key-key-key-key") as ingest,
        cluster.worker(),
        nginx(tmp_path / "edge", proxy.url, ingest.url) as url,
        httpx.Client(
            base_url=url, timeout=30, headers={"Authorization": "Bearer key-key-key-key-key"}, verify=False
        ) as client,
    ):
        assert client.get("/healthz").status_code == 200
        answer = client.post("/images/upload", files={"image": ("photo.jpg", small_picture(1))})
        assert answer.status_code == 201, answer.text
        upload_id = answer.json()["uploadId"]
        assert http.get(f"{url}/images/{upload_id}").status_code == 401

        with client.stream("GET", f"/images/{upload_id}/events") as events:
            assert any('"status": "complete"' in line for line in events.iter_lines())

        picture = http.get(f"{url}/images/{upload_id}/large.webp")
        assert (picture.status_code, picture.headers["cache-status"]) == (200, "darkroom; hit")
        assert (
            http.get(f"{url}/images/{upload_id}/large@2x.webp").headers["cache-status"].startswith("darkroom; fwd=miss")
        )
        assert http.get(f"{url}/images/{upload_id}/enormous.webp").status_code == 404

        too_large = client.post("/images/upload", files={"image": ("photo.jpg", b"\xff\xd8\xff" + bytes(11 << 20))})
        assert too_large.status_code == 413

        assert client.delete(f"/images/{upload_id}").status_code == 204
        assert http.get(f"{url}/images/{upload_id}/large@3x.webp").status_code == 404
    assert cluster.objects() == []
    assert cluster.rows() == ([], [])
