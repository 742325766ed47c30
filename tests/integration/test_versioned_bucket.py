"""A whole service on a bucket that keeps old versions."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.client import until
from tests.cluster import TINY, small_picture
from tests.http_client import http
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT, Service


@pytest.mark.slow
def test_deletion_removes_every_version(tmp_path: Path, seaweedfs: SeaweedServer) -> None:
    bucket, client = f"versioned-{uuid4().hex[:12]}", seaweedfs.client
    seaweedfs.create_bucket(bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    (tmp_path / "darkroom.toml").write_text(TINY)
    settings = {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": seaweedfs.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": seaweedfs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.secret_access_key,
    }

    def versions(upload_id: str) -> list[str]:
        found = client.list_object_versions(Bucket=bucket)
        entries = (*found.get("Versions", []), *found.get("DeleteMarkers", []))
        return [entry["Key"] for entry in entries if upload_id in entry["Key"]]

    with Service(tmp_path, WARM_UP="false", DELETE_VERSIONS="true", **settings, **PATIENT) as service:
        deleted, other = (
            http.post(f"{service.url}/images/upload", files={"image": small_picture(seed)}).json()["uploadId"]
            for seed in (1, 2)
        )
        assert http.get(f"{service.url}/images/{deleted}/tiny.jpg").status_code == 200
        until(lambda: any("tiny.jpg" in key for key in versions(deleted)))
        assert http.patch(f"{service.url}/images/{deleted}", json={"focus": "0.2,0.2"}).status_code == 200
        assert versions(deleted).count(f"originals/{deleted}") == 2

        assert http.delete(f"{service.url}/images/{deleted}").status_code == 204

        assert versions(deleted) == []
        assert versions(other) != []
