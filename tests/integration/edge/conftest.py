"""nginx with the shipped configuration: in front of a real Darkroom, and of a stub origin."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, StubOrigin, nginx
from tests.photographs import photograph_bytes
from tests.service import PATIENT, Service


@pytest.fixture(scope="session")
def darkroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"WARM_UP": "false", "RENDER_PROCESSES": "1", **PATIENT}
    with Service(tmp_path_factory.mktemp("darkroom"), **settings) as service:
        yield service


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory, darkroom: Service) -> Iterator[str]:
    """The URL of nginx in front of Darkroom."""
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path_factory.mktemp("edge"), darkroom.url, darkroom.url) as url:
        yield url


@pytest.fixture(scope="session")
def upload_id(edge: str) -> str:
    answer = http.post(
        f"{edge}/images/upload", files={"image": ("photo.jpg", photograph_bytes("rocket.jpg"))}, timeout=30
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


@pytest.fixture
def cached_url(edge: str, upload_id: str) -> str:
    """The URL of a variant in nginx's cache."""
    url = f"{edge}/images/{upload_id}/small.jpg"
    assert http.get(url).status_code == 200
    return url


@pytest.fixture(scope="session")
def stub_origin() -> Iterator[StubOrigin]:
    with StubOrigin() as origin:
        yield origin


@pytest.fixture(scope="session")
def stub_edge(tmp_path_factory: pytest.TempPathFactory, stub_origin: StubOrigin) -> Iterator[str]:
    """The URL of nginx in front of the stub. All tests share it, so each uses its own path."""
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path_factory.mktemp("stub"), stub_origin.url, stub_origin.url) as url:
        yield url


@pytest.fixture
def stub(stub_origin: StubOrigin, stub_edge: str) -> StubOrigin:
    """The stub without recorded requests."""
    stub_origin.reset()
    return stub_origin


@pytest.fixture
def path() -> str:
    """The path of a variant of a new upload."""
    return f"/images/{uuid4()}/medium.webp"
