"""Darkroom below a path of another site: deploy/sub-path.conf in front of the server, and of nginx with nginx.conf."""

import json
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest

from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, nginx, site_below_path
from tests.photographs import photograph_bytes
from tests.server import free_port
from tests.service import PATIENT, Service, darkroom


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """The server and its PUBLIC_URL."""
    need(PROGRAM, "nginx-light")
    public = f"http://127.0.0.1:{free_port()}/media"
    settings = {"WARM_UP": "false", "RENDER_PROCESSES": "1", **PATIENT}
    with Service(tmp_path_factory.mktemp("service"), PUBLIC_URL=public, **settings) as running:
        yield running, public


@pytest.fixture(scope="module", params=["server", "edge"])
def base(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, service: tuple[Service, str]
) -> Iterator[str]:
    running, public = service
    port = int(public.split(":")[2].split("/")[0])
    folder = tmp_path_factory.mktemp("site")
    if request.param == "server":
        with site_below_path(folder, port, running.url):
            yield public
    else:
        with (
            nginx(tmp_path_factory.mktemp("edge"), running.url, running.url) as edge,
            site_below_path(folder, port, edge),
        ):
            yield public


@pytest.fixture(scope="module")
def upload(base: str) -> dict[str, str]:
    """The answer to an upload, with its `location`."""
    files = {"image": ("rocket.jpg", photograph_bytes("rocket.jpg"))}
    answer = http.post(f"{base}/images/upload", files=files)
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "location": answer.headers["location"]}


def test_every_url_of_an_upload_works(base: str, upload: dict[str, str]) -> None:
    shown = http.get(upload["location"]).json()
    status = http.get(upload["statusUrl"]).json()

    assert upload["location"] == f"{base}/images/{upload['uploadId']}"
    assert (shown["uploadId"], status["uploadId"]) == (upload["uploadId"], upload["uploadId"])
    assert f"{base}/images/" in shown["picture"]
    for url in shown["urls"]["small"].values():
        assert url.startswith(f"{base}/images/")
        assert http.get(url).status_code == 200


def test_jpeg_redirects_below_the_path(upload: dict[str, str]) -> None:
    answer = http.get(f"{upload['location']}/small.jpeg", follow_redirects=True)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert str(answer.url) == f"{upload['location']}/small.jpg"


def test_content_location_of_auto_is_below_the_path(upload: dict[str, str]) -> None:
    url = f"{upload['location']}/small.auto"
    answer = http.get(url)

    assert urljoin(url, answer.headers["content-location"]) == f"{upload['location']}/small.jpg"


def test_events_are_streamed_below_the_path(base: str, upload: dict[str, str]) -> None:
    with http.stream("GET", f"{upload['location']}/events") as answer:
        data = next(line for line in answer.iter_lines() if line.startswith("data:"))

    assert json.loads(data.removeprefix("data:"))["uploadId"] == upload["uploadId"]


def test_openapi_document_names_the_path(base: str) -> None:
    servers = http.get(f"{base}/openapi.json").json()["servers"]

    assert {urljoin(f"{base}/openapi.json", server["url"]).rstrip("/") for server in servers} == {base}


def test_path_without_slash_redirects_to_the_page(base: str) -> None:
    answer = http.get(base)

    assert (answer.status_code, answer.headers["location"]) == (301, f"{base}/")


@pytest.mark.slow
def test_commands_print_urls_below_the_path(base: str, upload: dict[str, str], service: tuple[Service, str]) -> None:
    shown = darkroom(service[0].folder, "show", upload["uploadId"], PUBLIC_URL=base)
    (service[0].folder / "chelsea.png").write_bytes(photograph_bytes("chelsea.png"))
    uploaded = darkroom(service[0].folder, "upload", "--json", "chelsea.png", PUBLIC_URL=base)
    function = darkroom(service[0].folder, "edge", "cloudfront", PUBLIC_URL=base)

    assert f"URLs: {base}/images/{upload['uploadId']}/VARIANT" in shown.stdout
    assert json.loads(uploaded.stdout)["statusUrl"].startswith(f"{base}/images/")
    assert 'const BASE_PATH = "/media";' in function.stdout
