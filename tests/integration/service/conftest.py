"""The whole service as its users meet it: real processes, real HTTP, on files and on a real S3 server."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.camera import camera_jpeg
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT

NewStore = Callable[[], dict[str, str]]


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """One megapixel, lying on its side by EXIF, with GPS and a profile: what phones send, in small."""
    return camera_jpeg(orientation=6, size=(1200, 900))


@pytest.fixture(scope="module", params=["files", pytest.param("s3", marks=pytest.mark.slow)])
def new_store(request: pytest.FixtureRequest) -> NewStore:
    """The settings of an empty store of each kind."""
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
