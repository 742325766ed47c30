"""Pages of every site may use every response about a variant: nginx sends Darkroom's headers, each exactly once."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from proxy.web.variant_routes import CROSS_ORIGIN_HEADERS
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, Answer, StubOrigin, nginx
from tests.server import free_port


def found(answer: httpx.Response) -> list[tuple[str, str]]:
    """Returns the response's own cross-origin headers, sorted, repetitions included."""
    names = {name.lower() for name in CROSS_ORIGIN_HEADERS}
    return sorted((name, value) for name, value in answer.headers.multi_items() if name in names)


EXPECTED = sorted((name.lower(), value) for name, value in CROSS_ORIGIN_HEADERS.items())


def test_responses_of_darkroom_have_the_headers_once(edge: str, upload_id: str) -> None:
    for method, name, headers, status in (
        ("GET", "small.jpg", {}, 200),
        ("HEAD", "small.jpg", {}, 200),
        ("GET", "small.jpg", {"Range": "bytes=0-9"}, 206),
        ("GET", "small.jpg", {"Range": "bytes=99999999-"}, 416),
        ("GET", "small.jpg", {"If-None-Match": "*"}, 304),
        ("GET", "small.auto", {"Accept": "*/*"}, 200),
        ("GET", "small.jpeg", {}, 308),
        ("GET", "huge.jpg", {}, 404),
        ("POST", "small.jpg", {}, 405),
        ("OPTIONS", "small.jpg", {}, 405),
    ):
        for _ in range(2):  # from Darkroom, then from the cache
            answer = http.request(method, f"{edge}/images/{upload_id}/{name}", headers=headers)

            assert (answer.status_code, found(answer)) == (status, EXPECTED), (method, name, headers)


def test_unsatisfiable_range_is_a_problem_document(cached_url: str) -> None:
    answer = http.get(cached_url, headers={"Range": "bytes=99999999-"})

    assert (answer.json()["status"], answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-type"] == "application/problem+json"


def test_missing_upload_has_the_headers_once(edge: str) -> None:
    answer = http.get(f"{edge}/images/{uuid4()}/small.jpg")

    assert (answer.status_code, found(answer)) == (404, EXPECTED)


def test_other_responses_do_not_allow_other_origins(edge: str, upload_id: str) -> None:
    paths = (
        "/",
        "/docs",
        "/openapi.json",
        "/page/style.css",
        "/images",
        f"/images/{upload_id}",
        "/healthz",
        "/metrics",
    )
    answers = [http.get(edge + path) for path in (*paths, f"/images/{upload_id}/status", "/images/upload", "/x/y.jpg")]
    answers.append(http.post(f"{edge}/images/upload", content=bytes(12 << 20)))

    assert {answer.status_code for answer in answers} == {200, 404, 405, 413}
    for answer in answers:
        assert not {name for name, _ in found(answer)} - {"cross-origin-resource-policy"}, answer.url
        assert answer.headers.get("cross-origin-resource-policy", "same-origin") == "same-origin", answer.url


@pytest.mark.parametrize("status", [200, 404, 422, 503])
def test_headers_of_the_origin_are_replaced(stub: StubOrigin, stub_edge: str, path: str, status: int) -> None:
    stub.answer = Answer(status, headers=dict.fromkeys(CROSS_ORIGIN_HEADERS, "https://other.test"))

    answer = http.get(stub_edge + path)

    assert (answer.status_code, found(answer)) == (status, EXPECTED)


@pytest.mark.parametrize("target", ["/images/{}/small.jpg", "/images/{}"])
def test_unreachable_origin_has_the_headers_for_variants_alone(tmp_path: Path, target: str) -> None:
    need(PROGRAM, "nginx-light")
    nobody = f"http://127.0.0.1:{free_port()}"
    with nginx(tmp_path, nobody, nobody) as url:
        answer = http.get(url + target.format(uuid4()))

    assert (answer.status_code, found(answer)) == (503, EXPECTED if target.endswith(".jpg") else [])


class TestBucketFirst:
    @pytest.fixture
    def bucket(self) -> Iterator[StubOrigin]:
        with StubOrigin() as bucket:
            yield bucket

    @pytest.fixture
    def bucket_edge(self, tmp_path: Path, stub: StubOrigin, bucket: StubOrigin) -> Iterator[str]:
        need(PROGRAM, "nginx-light")
        with nginx(tmp_path, stub.url, stub.url, bucket_url=bucket.url) as url:
            yield url

    @pytest.mark.parametrize("own", [{}, {"Access-Control-Allow-Origin": "https://other.test", "Vary": "Origin"}])
    def test_stored_variant_has_the_headers_once(
        self, bucket: StubOrigin, bucket_edge: str, path: str, own: dict[str, str]
    ) -> None:
        bucket.answer.headers |= own

        for _ in range(2):
            answer = http.get(bucket_edge + path)

            assert (answer.status_code, found(answer)) == (200, EXPECTED)
            assert "vary" not in answer.headers

    @pytest.mark.parametrize("status", [200, 404, 503])
    def test_response_of_darkroom_has_the_headers_once(
        self, stub: StubOrigin, bucket: StubOrigin, bucket_edge: str, path: str, status: int
    ) -> None:
        bucket.answer = Answer(403)
        stub.answer = Answer(status, headers=CROSS_ORIGIN_HEADERS)

        answer = http.get(bucket_edge + path)

        assert (answer.status_code, found(answer)) == (status, EXPECTED)
