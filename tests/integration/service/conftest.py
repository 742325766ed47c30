"""The whole service from outside: real processes and HTTP, on files and on a real S3 server."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.camera import camera_jpeg
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT

NewStore = Callable[[], dict[str, str]]


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """One megapixel like a phone's: sideways by EXIF, with GPS and a profile."""
    return camera_jpeg(orientation=6, size=(1200, 900))


@pytest.fixture(scope="module", params=["files", pytest.param("s3", marks=pytest.mark.slow)])
def new_store(request: pytest.FixtureRequest) -> NewStore:
    """Returns a function that creates an empty store of this kind and returns its settings."""
    if request.param == "files":
        return PATIENT.copy
    server: SeaweedServer = request.getfixturevalue("seaweedfs")

    def new_bucket() -> dict[str, str]:
        bucket = f"darkroom-{uuid4().hex[:12]}"
        server.create_bucket(bucket)
        return PATIENT | {
            "S3_BUCKET": bucket,
            "S3_ENDPOINT_URL": server.endpoint_url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        }

    return new_bucket
