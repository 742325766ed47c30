"""Private variants behind nginx: the proxy verifies each request, nginx keeps the file under its path alone."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from darkroom import sign_token
from ingest.edge.nginx_cache import NginxCaches
from proxy.model import Fit, Size, Sizes, UploadId
from proxy.variants.encoded_variant import upload_tag
from tests.client import until
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, SECRET, WITH_SECRET, Answer, StubOrigin, nginx
from tests.photographs import photograph_bytes
from tests.server import free_port
from tests.service import PATIENT, Service

KEY = "k" * 32
DAY = 86_400


@pytest.fixture(scope="module")
def edge_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, edge_port: int) -> Iterator[Service]:
    settings = {"WARM_UP": "false", "RENDER_PROCESSES": "1", "SIGNING_KEYS": KEY, **PATIENT}
    settings |= {"EDGE_SECRET": SECRET, "EDGE_URLS": f"http://127.0.0.1:{edge_port}"}
    with Service(tmp_path_factory.mktemp("private"), **settings) as service:
        yield service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("private-edge")


@pytest.fixture(scope="module")
def private_edge(folder: Path, origin: Service, edge_port: int) -> Iterator[str]:
    need(PROGRAM, "nginx-light")
    with nginx(folder, origin.url, origin.url, port=edge_port, changes=WITH_SECRET) as url:
        yield url


def upload(edge: str) -> UploadId:
    files = {"image": ("photo.jpg", photograph_bytes("rocket.jpg"))}
    answer = http.post(f"{edge}/images/upload", files=files, data={"visibility": "private"})
    assert answer.status_code == 201, answer.text
    return UploadId(answer.json()["uploadId"])


@pytest.fixture(scope="module")
def private_id(private_edge: str) -> UploadId:
    return upload(private_edge)


def get(
    edge: str, upload_id: str, query: str = "", *, name: str = "small.jpg", headers: dict[str, str] | None = None
) -> httpx.Response:
    return http.get(f"{edge}/private/{upload_id}/{name}?{query}", headers=headers or {})


def token(upload_id: UploadId, seconds: float = 1000) -> str:
    return f"token={sign_token(upload_id, KEY, expires=int(time.time() + seconds))}"


def refused(edge: str, upload_id: UploadId) -> None:
    """Asserts that clients without a token of this upload get none of its variants."""
    queries = ("", "token=", token(upload_id, -1), token(UploadId(str(uuid4()))), f"{token(upload_id, -1)}&a=b")
    for query in queries:
        for name in ("small.jpg", "small.auto", "small.jpeg"):
            answer = get(edge, upload_id, query, name=name)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert answer.headers["cache-control"] == "no-store"
    for path in (f"/images/{upload_id}/small.jpg", f"/originals/{upload_id}", f"//private/{upload_id}/small.jpg"):
        assert http.get(edge + path).status_code == 404


def test_token_of_each_request_is_verified_and_the_file_cached_once(
    private_edge: str, origin: Service, private_id: UploadId
) -> None:
    refused(private_edge, private_id)
    first, second = (get(private_edge, private_id, token(private_id, seconds)) for seconds in (500, 2 * DAY))
    refused(private_edge, private_id)

    assert [each.headers["x-cache-status"] for each in (first, second)] == ["MISS", "HIT"]
    assert first.content == second.content
    assert first.headers["access-control-allow-origin"] == "*"
    ages = [each.headers["cache-control"].removeprefix("private, max-age=") for each in (first, second)]
    assert 490 <= int(ages[0]) <= 500
    assert int(ages[1]) == DAY


def test_auto_and_jpeg_need_the_token_too(private_edge: str, private_id: UploadId) -> None:
    query = token(private_id)
    answer = get(private_edge, private_id, query, name="small.auto", headers={"accept": "image/webp"})
    assert (answer.status_code, answer.headers["content-type"], answer.headers["vary"]) == (200, "image/webp", "Accept")

    moved = get(private_edge, private_id, query, name="small.jpeg")
    assert (moved.status_code, moved.headers["location"]) == (308, f"small.jpg?{query}")


@pytest.mark.parametrize(
    ("headers", "status", "caching"),
    [
        ({"range": "bytes=0-9"}, 206, "private"),
        ({"range": "bytes=5-9"}, 206, "no-store"),
        ({"range": "bytes=99999999-"}, 416, "no-store"),
        ({"if-none-match": "etag"}, 304, "private"),
    ],
)
def test_conditions_and_ranges_stay_private(
    private_edge: str, private_id: UploadId, headers: dict[str, str], status: int, caching: str
) -> None:
    query = token(private_id)
    etag = get(private_edge, private_id, query).headers["etag"]
    given = {name: etag if value == "etag" else value for name, value in headers.items()}
    answer = get(private_edge, private_id, query, headers=given)
    assert (answer.status_code, answer.headers["cache-control"].split(",")[0]) == (status, caching)


def test_unknown_upload_is_404_and_not_kept_by_browsers(private_edge: str) -> None:
    unknown = UploadId(str(uuid4()))
    answer = get(private_edge, unknown, token(unknown))
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


def change(edge: str, upload_id: UploadId, visibility: str) -> None:
    answer = http.patch(f"{edge}/images/{upload_id}", json={"visibility": visibility})
    assert (answer.status_code, answer.json()["visibility"]) == (200, visibility)


def test_visibility_change_removes_cached_responses_of_nginx(private_edge: str, origin: Service) -> None:
    upload_id = upload(private_edge)
    public = f"{private_edge}/images/{upload_id}/small.jpg"
    for _ in range(2):
        assert get(private_edge, upload_id, token(upload_id)).status_code == 200
        refused(private_edge, upload_id)

        change(private_edge, upload_id, "public")
        assert get(private_edge, upload_id, token(upload_id)).status_code == 404
        assert [http.get(public).headers["x-cache-status"] for _ in range(2)][1] == "HIT"

        change(private_edge, upload_id, "private")
        assert http.get(public).status_code == http.get(public.replace(".jpg", ".auto")).status_code == 404
        for path in (f"/private/{upload_id}/small.jpg", f"/images/{upload_id}/small.jpg"):
            assert http.get(origin.url + path).status_code in (403, 404)


def test_variant_that_is_on_its_way_during_a_change_is_forgotten_too(tmp_path: Path) -> None:
    need(PROGRAM, "nginx-light")
    upload_id = UploadId(str(uuid4()))
    forgotten = Answer(404, b"", {"Cache-Control": "max-age=1", "X-Edge-Forget": "done"})
    with StubOrigin() as stub, nginx(tmp_path, stub.url, stub.url, changes=WITH_SECRET) as edge:
        public = f"{edge}/images/{upload_id}/small.jpg"
        stub.answer = Answer(seconds=1)
        with ThreadPoolExecutor() as pool:
            late = pool.submit(http.get, public)
            until(lambda: stub.asked)
            stub.answer = forgotten
            caches = NginxCaches([edge], SECRET, Sizes(Size("small", 10, 10, Fit.COVER)))
            asyncio.run(caches.invalidate([upload_tag(upload_id)]))
        stub.answer = Answer(404, b"", {})

        assert late.result().status_code == 200
        assert http.get(public).status_code == 404


def test_deleted_upload_is_forgotten(private_edge: str) -> None:
    upload_id = upload(private_edge)
    assert get(private_edge, upload_id, token(upload_id)).status_code == 200
    assert http.delete(f"{private_edge}/images/{upload_id}").status_code == 204
    assert get(private_edge, upload_id, token(upload_id)).status_code == 404


@pytest.mark.parametrize("secret", ["", "x" * 32, f"{SECRET} {SECRET}"])
def test_forget_header_of_a_client_removes_nothing(private_edge: str, private_id: UploadId, secret: str) -> None:
    query = token(private_id)
    get(private_edge, private_id, query)
    answer = get(private_edge, private_id, query, headers={"x-edge-forget": secret})
    assert (answer.status_code, answer.headers["x-cache-status"]) == (200, "HIT")
    assert get(private_edge, private_id, "", headers={"x-edge-forget": secret}).status_code == 403


def test_proxy_demands_the_secret_of_the_edge(origin: Service, private_id: UploadId) -> None:
    assert get(origin.url, private_id, token(private_id)).status_code == 403


def test_verification_is_not_open_to_clients(private_edge: str, private_id: UploadId) -> None:
    headers = {"x-original-uri": f"/private/{private_id}/small.jpg?{token(private_id)}"}
    assert http.get(f"{private_edge}/private/verify", headers=headers).status_code == 404


def test_no_access_log_has_a_token(private_edge: str, private_id: UploadId, folder: Path, origin: Service) -> None:
    query = token(private_id)
    get(private_edge, private_id, query)
    get(private_edge, private_id, token(private_id, -1))
    for path in (
        f"//private/{private_id}/small.jpg",
        f"/%70rivate/{private_id}/small.jpg",
        f"/images/{private_id}/small.jpg",
    ):
        http.get(f"{private_edge}{path}?{query}")
    logs = (folder / "access.log").read_text()
    assert f'"uri":"/private/{private_id}/small.jpg"' in logs
    assert "token" not in logs
    assert "v1." not in origin.log()
