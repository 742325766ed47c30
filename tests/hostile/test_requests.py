"""Hostile requests to a real server, byte by byte: paths, framing, methods, ranges."""

import json

import pytest

from tests.hostile.framing import FRAMING, SMUGGLED
from tests.hostile.wire import exchange, request, upload
from tests.http_client import http
from tests.service import Service
from tests.watch import resident

UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


@pytest.mark.promise("D1", "D5")
@pytest.mark.parametrize("raw", FRAMING.values(), ids=FRAMING)
def test_ambiguous_request_gets_400_and_a_closed_connection(live: Service, raw: str) -> None:
    answer = exchange(live.url, raw.encode("latin-1"))

    assert (answer.statuses, answer.closed) == ([400], True)
    assert json.loads(answer.body)["code"] == "bad_request"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_garbage_after_a_request_closes_the_connection_after_its_response(live: Service) -> None:
    answer = exchange(
        live.url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\0\1nonsense\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
    )

    assert (answer.statuses, answer.closed) == ([200], True)
    assert json.loads(answer.body) == {"status": "ok"}


@pytest.mark.promise("D3")
@pytest.mark.parametrize(
    "raw",
    [
        f"GET /{'a' * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /healthz HTTP/1.1\r\nHost: x\r\nX: {'a' * 200_000}\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n" + "".join(f"X-{n}: y\r\n" for n in range(5_000)) + "\r\n",
    ],
    ids=["a path of 200 kB", "a header of 200 kB", "5,000 headers"],
)
def test_too_large_headers_get_431_or_a_closed_connection(live: Service, raw: str) -> None:
    answer = exchange(live.url, raw.encode())

    assert answer.closed
    assert answer.statuses in ([431], [])  # none: the kernel discards it if bytes are left to read
    assert not answer.statuses or json.loads(answer.body)["code"] == "headers_too_large"


@pytest.mark.promise("D3")
def test_header_of_100_mb_is_not_read(live: Service) -> None:
    before = resident(live.pid)

    answer = exchange(live.url, b"GET /healthz HTTP/1.1\r\nX: ", endless=[b"x" * 1_000_000] * 100)

    assert answer.statuses in ([431], [])
    assert answer.sent < 20_000_000  # the size of the kernel's buffers
    assert resident(live.pid) < before + (16 << 20)


def test_bytes_after_connection_close_are_ignored(live: Service) -> None:
    answer = exchange(live.url, request("GET", "/healthz") + SMUGGLED.encode())

    assert answer.statuses == [200]


@pytest.mark.promise("D5")
@pytest.mark.parametrize("headers", [("Upgrade: websocket", "Sec-WebSocket-Key: x"), ("Upgrade: h2c",)])
def test_upgrade_to_another_protocol_is_answered_in_http_1_1(live: Service, headers: tuple[str, ...]) -> None:
    answer = exchange(live.url, request("GET", "/healthz", "Connection: Upgrade, close", *headers, close=False))

    assert answer.statuses == [200]


@pytest.mark.promise("D4")
@pytest.mark.parametrize(
    "raw",
    [
        f"GET /images/{UNKNOWN}/medium.jpeg HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n",
        f"GET http://evil.test/images/{UNKNOWN}/medium.jpeg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=["a foreign host", "an absolute URL"],
)
def test_redirect_ignores_the_requests_host(live: Service, raw: str) -> None:
    answer = exchange(live.url, raw.encode())

    assert answer.statuses == [308]
    assert answer.headers["location"] == "medium.jpg"
    assert b"evil" not in answer.received


@pytest.mark.promise("D5")
def test_other_methods_get_405_without_an_echo(live: Service) -> None:
    for path in (f"/images/{UNKNOWN}/small.jpg", "/images/upload", "/healthz", "/"):
        for method in ("TRACE", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"):
            answer = exchange(live.url, request(method, path, "X-Secret: canary"))

            assert answer.statuses == [405], (method, path)
            assert answer.headers["allow"], (method, path)
            assert b"canary" not in answer.received, (method, path)


class TestPaths:
    @pytest.mark.promise("C1")
    @pytest.mark.parametrize(
        "path",
        [
            "/images/../originals/{}",
            "/images/../trash/{}",
            "/installation",
            "/images/%2e%2e/originals/{}",
            "/images/%2E%2E/%2E%2E/originals/{}",
            "/images/..%2foriginals%2f{}/small.jpg",
            "/images/..%5coriginals%5c{}/small.jpg",
            "/images/%c0%ae%c0%ae/originals/{}",
            "/images/%252e%252e/originals/{}",
            "/images/%u002e%u002e/originals/{}",
            "/images/{}/../../originals/{}",
            "/images/{}/..%2f..%2foriginals%2f{}",
            "/images/{}/small.jpg/../../../originals/{}",
            "/images/{}%00/small.jpg",
            "/images/{}/small.jpg%00",
            "/images/{}%0d%0aX-Evil:%201/small.jpg",
            "/images/{}/small.jpg%0d%0a%0d%0a<script>",
            "/originals/{}",
            "/originals/{}.jpg",
            "/Originals/{}",
            "//originals/{}",
            "/data/objects/originals/{}",
            "/images/originals/{}",
            "/images/{}/original.jpg",
            "/images/{}/{}.jpg",
            "/page/../../../etc/passwd",
            "/page/%2e%2e/%2e%2e/app.py",
            "/page/style.css%00.html",
        ],
    )
    def test_no_path_leads_to_an_original_or_a_file(
        self, live: Service, upload_id: str, path: str, picture: bytes
    ) -> None:
        answer = exchange(live.url, request("GET", path.replace("{}", upload_id)))

        assert answer.statuses == [404]
        assert answer.headers["content-type"] == "application/problem+json"
        assert not answer.headers.keys() & {"x-evil", "location"}
        assert picture[:100] not in answer.received
        assert b"script" not in answer.body

    def test_upper_case_id_gets_404(self, live: Service, upload_id: str) -> None:
        assert http.get(f"{live.url}/images/{upload_id.upper()}/small.jpg").status_code == 404
        assert http.get(f"{live.url}/images/{upload_id.upper()}").status_code == 404

    def test_malformed_id_gets_404(self, live: Service) -> None:
        names = ("..", "%00", "a%2fb", "x" * 10_000, "%0d%0aX-Evil:1", "'--", "upload%00", "\xa0".encode().hex())
        for path in (f"/images/{name}{suffix}" for name in names for suffix in ("", "/status", "/events")):
            assert exchange(live.url, request("GET", path)).statuses == [404], path[:100]

    @pytest.mark.promise("C5")
    def test_query_does_not_change_the_variant(self, live: Service, upload_id: str) -> None:
        url = f"{live.url}/images/{upload_id}/small.webp"
        first = http.get(url)
        derived = live.metric("darkroom_derivations_total")
        answers = [http.get(url, params={"x": n, "size": "huge", "w": "9999"}) for n in range(50)]

        assert {answer.content for answer in answers} == {first.content}
        assert {answer.headers["etag"] for answer in answers} == {first.headers["etag"]}
        assert live.metric("darkroom_derivations_total") == derived


class TestRanges:
    @pytest.mark.promise("C6")
    @pytest.mark.parametrize(
        "ranges", ["0-0," * 5_000 + "0-0", ",".join(f"{n}-" for n in range(2_000)), "0-1,1-2", "-" * 9_000]
    )
    def test_several_ranges_get_the_whole_file(self, live: Service, upload_id: str, ranges: str) -> None:
        path = f"/images/{upload_id}/small.jpg"
        whole = http.get(live.url + path)

        answer = exchange(live.url, request("GET", path, f"Range: bytes={ranges}"))

        assert answer.statuses == [200]
        assert answer.body == whole.content

    @pytest.mark.promise("C6")
    def test_head_response_has_no_body(self, live: Service, upload_id: str) -> None:
        path = f"/images/{upload_id}/small.jpg"

        answer = exchange(live.url, request("HEAD", path, "Range: bytes=0-9", "Content-Length: 0"))

        assert (answer.statuses, answer.body) == ([200], b"")
        assert int(answer.headers["content-length"]) == len(http.get(live.url + path).content)


@pytest.mark.promise("B8")
def test_form_names_and_types_are_echoed_nowhere(live: Service, picture: bytes) -> None:
    evil = '../canary<script>\r\nX-Canary: canary; type="canary'

    answer = exchange(live.url, upload(picture, filename=evil))

    assert answer.statuses == [201]
    assert b"canary" not in answer.received
    assert "canary" not in live.log()
    assert not list(live.folder.rglob("*canary*"))
