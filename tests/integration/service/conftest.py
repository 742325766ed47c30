"""The whole service as its users meet it: real processes, real HTTP, on files and on a real S3 server."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.camera import camera_jpeg
from tests.seaweedfs import SeaweedServer


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """12 megapixels, lying on its side by EXIF, with GPS and a profile: what phones send."""
    return camera_jpeg(orientation=6)


@pytest.fixture(params=["files", "s3"])
def stores(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of each store."""
    if request.param == "files":
        yield {}
        return
    server: SeaweedServer = request.getfixturevalue("seaweedfs")
    bucket = f"darkroom-{uuid4().hex[:12]}"
    server.create_bucket(bucket)
    yield {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
    }
