"""One shared service for read-only tests; tests that damage its environment start their own."""

from collections.abc import Iterator

import pytest

from tests.http_client import http
from tests.photographs import photograph
from tests.pictures import jpeg
from tests.service import PATIENT, Service

STALL = 2  # seconds that an upload may pause


@pytest.fixture(scope="session")
def picture() -> bytes:
    return jpeg(photograph("coffee.png").resize((300, 200)))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"WARM_UP": "false", "RENDER_PROCESSES": "1", "UPLOAD_STALL_TIMEOUT": str(STALL), **PATIENT}
    with Service(tmp_path_factory.mktemp("live"), **settings) as service:
        yield service
        assert "Traceback" not in service.log()


@pytest.fixture(scope="module")
def upload_id(live: Service, picture: bytes) -> str:
    answer = http.post(f"{live.url}/images/upload", files={"image": ("photo.jpg", picture)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])
