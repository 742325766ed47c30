"""Each variant has one name, whatever the request; everything else is answered at the edge."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from ingest.web.docs import DOCS_PATHS
from ingest.web.page import PAGE_PATHS
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, ROOT, StubOrigin, nginx, raw


class TestOneName:
    @pytest.fixture
    def kept(self, stub: StubOrigin, stub_edge: str, path: str) -> str:
        """The URL of a variant in nginx's cache, so that the origin gets no further request for it."""
        stub.answer.headers["Vary"] = "Accept, Cookie, *"
        assert http.get(stub_edge + path).headers["x-cache-status"] == "MISS"
        return stub_edge + path

    @pytest.mark.promise("C5")
    def test_request_headers_neither_split_nor_bypass_the_cache(self, kept: str, stub: StubOrigin) -> None:
        for headers in (
            {"Cookie": "session=1"},
            {"Authorization": "Bearer key"},
            {"Cache-Control": "no-cache", "Pragma": "no-cache"},
            {"Cache-Control": "no-store, max-age=0"},
            {"Accept": "text/html"},
            {"Accept-Encoding": "br"},
            {"Host": "evil.test"},
            {"X-Forwarded-Host": "evil.test", "X-Original-URL": "/originals/1", "X-Rewrite-URL": "/metrics"},
            {"X-HTTP-Method-Override": "DELETE"},
        ):
            answer = http.get(kept, headers=headers)
            assert (answer.status_code, answer.headers["x-cache-status"]) == (200, "HIT"), headers
            assert "vary" not in answer.headers
        assert len(stub.asked) == 1

    def test_query_neither_splits_nor_bypasses_the_cache(self, kept: str, stub: StubOrigin) -> None:
        for query in ("?", "?a=1", "?size=large.jpg", "?%00", "??", "?x=/../../originals/1"):
            answer = http.get(kept + query)
            assert (answer.status_code, answer.headers["x-cache-status"], answer.text) == (200, "HIT", "picture"), query
        assert len(stub.asked) == 1

    def test_origin_receives_the_path_alone(self, stub: StubOrigin, stub_edge: str, path: str) -> None:
        http.request(
            "GET",
            f"{stub_edge}{path}?a=1",
            headers={"Cookie": "a=1", "Authorization": "Bearer key", "Accept": "image/avif", "Range": "bytes=0-1"}
            | {
                "If-None-Match": '"a"',
                "X-Forwarded-For": "1.1.1.1",
                "X-Request-Id": "mine",
                "User-Agent": "x",
                "Accept-Encoding": "br",
            },
            content=b"a body",
        )

        [asked] = stub.asked
        assert (asked.method, asked.path, asked.body) == ("GET", path, b"")
        assert asked.headers == {
            "host": stub.url.removeprefix("http://"),
            "x-request-id": asked.headers["x-request-id"],
        }
        assert re.fullmatch(r"[0-9a-f]{32}", asked.headers["x-request-id"])

    def test_other_spellings_do_not_reach_the_origin(self, stub: StubOrigin, stub_edge: str) -> None:
        upload_id = str(uuid4())
        for spelling in (
            "/images/{}%2fsmall.jpg",
            "/images/{}%2Fsmall.jpg",
            "/images/{}/small%2Ejpg",
            "/images/{}/small%2ejpg",
            "/images/{}/%73mall.jpg",
            "/images/{}/SMALL.jpg",
            "/images/{}/small.JPG",
            "/Images/{}/small.jpg",
            "/images/{upper}/small.jpg",
            "/images/{}//small.jpg",
            "//images/{}/small.jpg",
            "/images//{}/small.jpg",
            "/images/{}/./small.jpg",
            "/images/{}/x/../small.jpg",
            "/images/{}/%2e%2e/{}/small.jpg",
            "/images/{}/../../originals/{}",
            "/originals/{}",
            "/trash/{}",
            "/fields/{}",
            "/installation",
            "/images/{}/small.jpg/",
            "/images/{}/small.jpg.",
            "/images/{}/small.jpg%00",
            "/images/{}/small.jpg%0a",
            "/images/{}/small.jpg%20",
            "/images/{}/small.jpg%3fa",
            "/images/{}/small.jpg;a=b",
            "/images/{}/small.jpg#a",
            "/images/{}/small@1x.jpg",
            "/images/{}/small@4x.jpg",
            "/images/{}/small%402x.jpg",
            "/images/{}/huge.jpg",
            "/images/{}/small.gif",
            "/images/{}/small.",
            "/images/{}/.jpg",
            "/images/{}/small",
            "/metrics",
            "/images/upload/",
            "/images/",
            "*",
        ):
            target = spelling.replace("{}", upload_id).replace("{upper}", upload_id.upper())
            assert raw(stub_edge, target) in (400, 404), spelling
            assert stub.asked == [], spelling

    def test_404_of_the_edge_is_a_problem_document_cached_for_a_minute(self, stub: StubOrigin, stub_edge: str) -> None:
        answer = http.get(f"{stub_edge}/images/{uuid4()}/huge.jpg")

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "public, max-age=60"

    def test_jpeg_redirects_to_jpg_without_the_request_host(self, stub: StubOrigin, stub_edge: str) -> None:
        url = f"{stub_edge}/images/{uuid4()}/small@2x.jpeg?next=//evil.test"
        answer = http.get(url, headers={"Host": "evil.test"})

        assert (answer.status_code, answer.headers["location"]) == (308, "small@2x.jpg")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert stub.asked == []

    def test_only_configured_sizes_are_accepted(self, tmp_path: Path, stub: StubOrigin) -> None:
        need(PROGRAM, "nginx-light")
        variants = (ROOT / "deploy" / "variants.conf").read_text().replace("small|medium|large", "card|column-2")
        with nginx(tmp_path, stub.url, stub.url, variants=variants) as url:
            statuses = [
                http.get(f"{url}/images/{uuid4()}/{name}.png").status_code for name in ("card", "column-2", "small")
            ]
        assert statuses == [200, 200, 404]


class TestMethods:
    def test_variant_accepts_get_and_head_only(self, stub: StubOrigin, stub_edge: str) -> None:
        for name in ("small.jpg", "small.jpeg", "small.auto"):
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "PROPFIND"):
                answer = http.request(method, f"{stub_edge}/images/{uuid4()}/{name}")

                assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), (method, name)
                assert (answer.headers["allow"], answer.headers["cache-control"]) == ("GET, HEAD", "no-store")
        assert stub.asked == []

    def test_upload_api_methods_reach_ingest(self, stub: StubOrigin, stub_edge: str) -> None:
        for path, allow in (
            *((path, "GET, HEAD") for path in (*PAGE_PATHS, *DOCS_PATHS)),
            ("/images?limit=1", "GET, HEAD, DELETE"),
            (f"/images/deletions/{uuid4()}", "GET, HEAD"),
            ("/images/upload", "POST, OPTIONS"),
            ("/images/tickets", "POST"),
            (f"/images/{uuid4()}", "GET, HEAD, PATCH, DELETE"),
            (f"/images/{uuid4()}/original", "GET, HEAD"),
            (f"/images/{uuid4()}/status", "GET, HEAD, OPTIONS"),
            (f"/images/{uuid4()}/events", "GET, HEAD, OPTIONS"),
            ("/sizes", "GET, HEAD"),
            ("/healthz", "GET, HEAD"),
        ):
            stub.reset()
            methods = allow.split(", ")
            assert {http.request(method, stub_edge + path).status_code for method in methods} == {200}, path
            assert [asked.path for asked in stub.asked] == [path] * len(methods)

            refused = http.request("PUT", stub_edge + path)
            assert (refused.status_code, refused.headers["allow"]) == (405, allow), path
