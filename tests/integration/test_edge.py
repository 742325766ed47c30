"""The shipped nginx.conf in a real nginx: before a real Darkroom, and before an origin that does as it is told."""

import asyncio
import hashlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ingest.web.docs import DOCS_PATHS
from ingest.web.page import PAGE_PATHS
from proxy.web.negotiation import new_format
from tests.accept import NEGOTIATION, random_accepts
from tests.conftest import need
from tests.nginx import PROGRAM, ROOT, Answer, StubOrigin, nginx
from tests.pictures import camera_jpeg
from tests.seaweedfs import SeaweedServer
from tests.service import Service

WEIGHED = re.compile(r"image/(avif|webp)[^,]*q=0\.\d*[1-9]", re.IGNORECASE)
"""Headers that give AVIF or WebP less than their full weight, but more than nothing."""


@pytest.fixture(scope="module")
def darkroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("darkroom"), WARM_UP="false", RENDER_PROCESSES="1") as service:
        yield service


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, darkroom: Service) -> Iterator[str]:
    """The URL of nginx before Darkroom."""
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path_factory.mktemp("edge"), darkroom.url, darkroom.url) as url:
        yield url


@pytest.fixture(scope="module")
def upload_id(edge: str) -> str:
    answer = httpx.post(f"{edge}/images/upload", files={"image": ("photo.jpg", camera_jpeg())}, timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


@pytest.fixture
def picture(edge: str, upload_id: str) -> str:
    """The URL of a variant that nginx has."""
    url = f"{edge}/images/{upload_id}/small.jpg"
    assert httpx.get(url).status_code == 200
    return url


@pytest.fixture(scope="module")
def stub_origin() -> Iterator[StubOrigin]:
    with StubOrigin() as origin:
        yield origin


@pytest.fixture(scope="module")
def stub_edge(tmp_path_factory: pytest.TempPathFactory, stub_origin: StubOrigin) -> Iterator[str]:
    """The URL of nginx before the stub. All tests share it: each asks for a path of its own."""
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path_factory.mktemp("stub"), stub_origin.url, stub_origin.url) as url:
        yield url


@pytest.fixture
def stub(stub_origin: StubOrigin, stub_edge: str) -> StubOrigin:
    """As new: nginx is up, and what the origin was asked is forgotten."""
    stub_origin.reset()
    return stub_origin


@pytest.fixture
def path() -> str:
    """A variant's, of an upload of its own."""
    return f"/images/{uuid4()}/medium.webp"


def raw(url: str, target: str, method: str = "GET") -> int:
    """The status for a request line as it is: clients would tidy the target up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


class TestOnce:
    def test_a_second_request_is_a_hit_and_the_origin_is_not_asked(
        self, edge: str, darkroom: Service, upload_id: str
    ) -> None:
        url = f"{edge}/images/{upload_id}/medium.avif"
        first = httpx.get(url)
        asked = darkroom.metric("darkroom_variant_requests_total")
        second = httpx.get(url)

        assert first.headers["x-cache-status"] == "MISS"
        assert second.headers["x-cache-status"] == "HIT"
        assert second.content == first.content
        assert {name: second.headers[name] for name in ("etag", "content-type", "cache-control", "cache-tag")} == {
            name: first.headers[name] for name in ("etag", "content-type", "cache-control", "cache-tag")
        }
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    async def test_of_a_herd_one_reaches_the_origin(self, edge: str, darkroom: Service, upload_id: str) -> None:
        asked = darkroom.metric("darkroom_variant_requests_total")
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=edge, timeout=30, limits=limits) as client:
            answers = await asyncio.gather(*(client.get(f"/images/{upload_id}/large.webp") for _ in range(200)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert darkroom.metric("darkroom_variant_requests_total") == asked + 1

    def test_what_is_kept_is_served_without_an_origin(self, tmp_path: Path, path: str) -> None:
        need(PROGRAM, "nginx-light")
        with StubOrigin() as origin, nginx(tmp_path, origin.url, origin.url) as url:
            httpx.get(url + path)
            origin.close()
            assert (httpx.get(url + path).status_code, httpx.get(url + path).text) == (200, "picture")

            lost = httpx.get(f"{url}/images/{uuid4()}/medium.webp")
        assert (lost.status_code, lost.json()["code"]) == (503, "unavailable")
        assert (lost.headers["cache-control"], lost.headers["retry-after"]) == ("no-store", "5")

    def test_a_picture_is_purged_by_removing_its_file(self, stub: StubOrigin, tmp_path: Path, path: str) -> None:
        """As docs/deploy.md says: the file's name is the MD5 of the path."""
        need(PROGRAM, "nginx-light")
        with nginx(tmp_path, stub.url, stub.url) as url:
            httpx.get(url + path)
            name = hashlib.md5(path.encode()).hexdigest()
            (tmp_path / "cache" / name[-1] / name[-3:-1] / name).unlink()
            stub.answer = Answer(404, b"{}", {"Cache-Control": "public, max-age=60"})

            assert httpx.get(url + path).status_code == 404


class TestStale:
    def test_an_expired_picture_is_served_while_the_origin_fails(
        self, stub: StubOrigin, stub_edge: str, path: str
    ) -> None:
        stub.answer.headers = {"Cache-Control": "public, max-age=1"}
        httpx.get(stub_edge + path)
        time.sleep(2)
        stub.answer = Answer(503, b"{}", {"Cache-Control": "no-store"})

        stale = httpx.get(stub_edge + path)

        assert (stale.status_code, stale.text, stale.headers["x-cache-status"]) == (200, "picture", "STALE")

    def test_an_expired_picture_is_served_while_one_request_renews_it(
        self, stub: StubOrigin, stub_edge: str, path: str
    ) -> None:
        stub.answer.headers = {"Cache-Control": "public, max-age=1"}
        httpx.get(stub_edge + path)
        time.sleep(2)
        stub.answer = Answer(body=b"renewed", seconds=0.5)

        async def herd() -> list[httpx.Response]:
            async with httpx.AsyncClient() as client:
                return await asyncio.gather(*(client.get(stub_edge + path) for _ in range(20)))

        answers = asyncio.run(herd())

        assert stub.paths()[path] == 2
        assert sorted(answer.text for answer in answers) == ["picture"] * 19 + ["renewed"]

    def test_what_has_not_changed_is_renewed_without_its_bytes(
        self, stub: StubOrigin, stub_edge: str, path: str
    ) -> None:
        stub.answer.headers = {"Cache-Control": "public, max-age=1", "ETag": '"a"'}
        httpx.get(stub_edge + path)
        time.sleep(2)
        stub.answer = Answer(304, b"", {"Cache-Control": "public, max-age=60", "ETag": '"a"'})

        assert httpx.get(stub_edge + path).headers["x-cache-status"] == "REVALIDATED"
        assert httpx.get(stub_edge + path).headers["x-cache-status"] == "HIT"
        assert stub.asked[-1].headers["if-none-match"] == '"a"'

    def test_a_404_does_not_outlive_its_age(self, stub: StubOrigin, stub_edge: str, path: str) -> None:
        stub.answer = Answer(404, b"{}", {"Cache-Control": "public, max-age=1"})
        assert [httpx.get(stub_edge + path).headers["x-cache-status"] for _ in range(2)] == ["MISS", "HIT"]
        time.sleep(2)
        stub.answer = Answer()

        assert httpx.get(stub_edge + path).text == "picture"


class TestFailures:
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_they_are_never_kept(self, stub: StubOrigin, stub_edge: str, path: str, status: int) -> None:
        stub.answer = Answer(status, b'{"code": "theirs"}', {"Cache-Control": "no-store", "Retry-After": "1"})
        failed = httpx.get(stub_edge + path)
        stub.answer = Answer()

        assert (failed.status_code, failed.json(), failed.headers["retry-after"]) == (status, {"code": "theirs"}, "1")
        assert httpx.get(stub_edge + path).text == "picture"

    def test_a_404_of_darkroom_is_kept_for_a_minute(self, edge: str, darkroom: Service) -> None:
        url = f"{edge}/images/{uuid4()}/small.jpg"
        first = httpx.get(url)
        asked = darkroom.metric("darkroom_variant_requests_total")
        second = httpx.get(url)

        assert (first.status_code, first.headers["cache-control"]) == (404, "public, max-age=60")
        assert (second.json(), second.headers["x-cache-status"]) == (first.json(), "HIT")
        assert darkroom.metric("darkroom_variant_requests_total") == asked


class TestOneName:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Cookie": "session=1"},
            {"Authorization": "Bearer key"},
            {"Cache-Control": "no-cache", "Pragma": "no-cache"},
            {"Cache-Control": "no-store, max-age=0"},
            {"Accept": "text/html"},
            {"Accept-Encoding": "br"},
            {"Host": "evil.test"},
            {"X-Forwarded-Host": "evil.test", "X-Original-URL": "/originals/1", "X-Rewrite-URL": "/metrics"},
            {"X-HTTP-Method-Override": "DELETE"},
        ],
        ids=lambda headers: next(iter(headers)),
    )
    def test_no_header_splits_the_cache_or_goes_around_it(self, picture: str, headers: dict[str, str]) -> None:
        answer = httpx.get(picture, headers=headers)

        assert (answer.status_code, answer.headers["x-cache-status"]) == (200, "HIT")
        assert "vary" not in answer.headers

    @pytest.mark.parametrize("query", ["?", "?a=1", "?size=large.jpg", "?%00", "??", "?x=/../../originals/1"])
    def test_nor_does_a_query(self, picture: str, query: str) -> None:
        answer = httpx.get(picture + query)

        assert (answer.status_code, answer.headers["x-cache-status"]) == (200, "HIT")
        assert answer.content == httpx.get(picture).content

    def test_the_origin_is_told_the_path_alone(self, stub: StubOrigin, stub_edge: str, path: str) -> None:
        httpx.request(
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
        assert asked.headers == {"host": "proxy", "x-request-id": asked.headers["x-request-id"]}
        assert re.fullmatch(r"[0-9a-f]{32}", asked.headers["x-request-id"])

    def test_the_origins_vary_does_not_split_it_either(self, stub: StubOrigin, stub_edge: str, path: str) -> None:
        stub.answer.headers["Vary"] = "Accept, Cookie, *"
        httpx.get(stub_edge + path)
        answer = httpx.get(stub_edge + path, headers={"Cookie": "b=2"})

        assert answer.headers["x-cache-status"] == "HIT"
        assert "vary" not in answer.headers

    @pytest.mark.parametrize(
        "target",
        [
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
        ],
    )
    def test_another_spelling_reaches_no_origin(
        self, stub: StubOrigin, stub_edge: str, target: str, upload_id: str
    ) -> None:
        target = target.replace("{}", upload_id).replace("{upper}", upload_id.upper())

        assert raw(stub_edge, target) in (400, 404)
        assert stub.asked == []

    def test_a_404_of_the_edge_is_a_problem_for_a_minute(self, stub: StubOrigin, stub_edge: str) -> None:
        answer = httpx.get(f"{stub_edge}/images/{uuid4()}/huge.jpg")

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "public, max-age=60"

    def test_jpeg_leads_to_jpg_without_the_callers_host(self, stub: StubOrigin, stub_edge: str) -> None:
        stem = f"/images/{uuid4()}/small@2x"
        answer = httpx.get(f"{stub_edge}{stem}.jpeg?next=//evil.test", headers={"Host": "evil.test"})

        assert (answer.status_code, answer.headers["location"]) == (308, f"{stem}.jpg")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert stub.asked == []

    def test_sizes_of_ones_own(self, tmp_path: Path, stub: StubOrigin) -> None:
        need(PROGRAM, "nginx-light")
        variants = (ROOT / "deploy" / "variants.conf").read_text().replace("small|medium|large", "card|column-2")
        with nginx(tmp_path, stub.url, stub.url, variants=variants) as url:
            statuses = [
                httpx.get(f"{url}/images/{uuid4()}/{name}.png").status_code for name in ("card", "column-2", "small")
            ]
        assert statuses == [200, 200, 404]


class TestMethods:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "PROPFIND"])
    @pytest.mark.parametrize("name", ["small.jpg", "small.jpeg", "small.auto"])
    def test_a_variant_is_only_read(self, stub: StubOrigin, stub_edge: str, method: str, name: str) -> None:
        answer = httpx.request(method, f"{stub_edge}/images/{uuid4()}/{name}")

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert (answer.headers["allow"], answer.headers["cache-control"]) == ("GET, HEAD", "no-store")
        assert stub.asked == []

    @pytest.mark.parametrize(
        ("path", "allow"),
        [
            *((path, "GET, HEAD") for path in (*PAGE_PATHS, *DOCS_PATHS)),
            ("/images?limit=1", "GET, HEAD"),
            ("/images/upload", "POST"),
            ("/images/{}", "GET, HEAD, DELETE"),
            ("/images/{}/status", "GET, HEAD"),
            ("/images/{}/events", "GET, HEAD"),
            ("/healthz", "GET, HEAD"),
            ("/readyz", "GET, HEAD"),
        ],
    )
    def test_ingest_gets_what_it_knows(self, stub: StubOrigin, stub_edge: str, path: str, allow: str) -> None:
        path = path.replace("{}", str(uuid4()))
        for method in allow.split(", "):
            assert httpx.request(method, stub_edge + path).status_code == 200
        assert [asked.path for asked in stub.asked] == [path] * len(allow.split(", "))

        refused = httpx.request("PATCH", stub_edge + path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allow)


class TestParts:
    def test_a_range_of_a_cold_picture_is_a_part_and_the_whole_is_kept(
        self, edge: str, darkroom: Service, upload_id: str
    ) -> None:
        url = f"{edge}/images/{upload_id}/small.png"
        part = httpx.get(url, headers={"Range": "bytes=4-9"})
        asked = darkroom.metric("darkroom_variant_requests_total")
        whole = httpx.get(url)

        assert (part.status_code, part.content) == (206, whole.content[4:10])
        assert part.headers["content-range"] == f"bytes 4-9/{len(whole.content)}"
        assert whole.headers["x-cache-status"] == "HIT"
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    @pytest.mark.parametrize(
        ("wanted", "status", "part"),
        [
            ("bytes=0-0", 206, slice(0, 1)),
            ("bytes=10-", 206, slice(10, None)),
            ("bytes=-5", 206, slice(-5, None)),
            ("bytes=0-1,4-5", 200, slice(None)),
            ("bytes=nonsense", 416, slice(0, 0)),
            ("bytes=99999999-", 416, slice(0, 0)),
        ],
    )
    def test_ranges_of_a_kept_picture(self, picture: str, wanted: str, status: int, part: slice) -> None:
        whole = httpx.get(picture).content
        answer = httpx.get(picture, headers={"Range": wanted})

        assert answer.status_code == status
        if status != 416:
            assert answer.content == whole[part]

    def test_if_range_sends_the_whole_of_another_version(self, picture: str) -> None:
        etag = httpx.get(picture).headers["etag"]

        assert httpx.get(picture, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
        assert httpx.get(picture, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200

    def test_a_head_fetches_the_whole(self, edge: str, upload_id: str) -> None:
        url = f"{edge}/images/{upload_id}/small.avif"
        head = httpx.head(url)
        get = httpx.get(url)

        assert (head.status_code, head.content, get.headers["x-cache-status"]) == (200, b"", "HIT")
        assert int(head.headers["content-length"]) == len(get.content)

    def test_a_client_that_has_it_is_told_so_at_the_edge(self, picture: str, darkroom: Service) -> None:
        known = httpx.get(picture).headers
        asked = darkroom.metric("darkroom_variant_requests_total")
        by_tag = httpx.get(picture, headers={"If-None-Match": f'W/"x", {known["etag"]}'})
        by_date = httpx.get(picture, headers={"If-Modified-Since": known["last-modified"]})

        assert [by_tag.status_code, by_date.status_code] == [304, 304]
        assert (by_tag.content, by_tag.headers["etag"]) == (b"", known["etag"])
        assert httpx.get(picture, headers={"If-None-Match": '"other"'}).status_code == 200
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    def test_pictures_are_not_compressed(self, picture: str) -> None:
        answer = httpx.get(picture, headers={"Accept-Encoding": "gzip, br"})

        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.content)


class TestAuto:
    @pytest.mark.parametrize("case", NEGOTIATION, ids=lambda case: case["why"])
    def test_accept_chooses(self, stub: StubOrigin, stub_edge: str, case: dict[str, str | None]) -> None:
        """Where AVIF or WebP are weighed down, nginx leaves it at the format that all can show."""
        accept, expected = case["accept"], str(case["format"])
        if WEIGHED.search(accept or ""):
            expected = "legacy"
        stem = f"/images/{uuid4()}/small"
        with httpx.Client() as client:
            del client.headers["accept"]
            answer = client.get(f"{stub_edge}{stem}.auto", headers={} if accept is None else {"Accept": accept.strip()})

        [asked] = stub.asked
        assert asked.path == f"{stem}.{expected.replace('legacy', 'auto')}"
        assert "accept" not in asked.headers
        assert answer.headers["vary"] == "Accept"

    def test_it_chooses_as_the_origin_would_or_not_at_all(self, stub: StubOrigin, stub_edge: str) -> None:
        with httpx.Client() as client:
            for accept in random_accepts(300):
                client.get(f"{stub_edge}/images/{uuid4()}/small.auto", headers={"Accept": accept.strip()})
                assert stub.asked[-1].path.rpartition(".")[2] in ("auto", new_format(accept)), accept
        assert len(stub.paths()) == 300

    @pytest.mark.parametrize(
        "accept",
        [
            "image/avif; q=0",
            "image/avif ;q=0.0 , image/webp; q=0",
            "image/avif;q=0, image/avif",
            'image/avif;p="a,b";q=0',
            'text/x;p=",image/webp"',
            "image/avif;p=x; q=0",
            "image/avif;q=1;q=0",
        ],
    )
    def test_zero_is_never_taken_for_yes(self, stub: StubOrigin, stub_edge: str, accept: str) -> None:
        httpx.get(f"{stub_edge}/images/{uuid4()}/small.auto", headers={"Accept": accept})

        assert stub.asked[0].path.endswith(".auto")

    def test_it_is_kept_under_the_name_of_what_was_chosen(self, edge: str, darkroom: Service, upload_id: str) -> None:
        stem = f"{edge}/images/{upload_id}/small@2x"
        chosen = httpx.get(f"{stem}.auto?x", headers={"Accept": "image/webp"})
        asked = darkroom.metric("darkroom_variant_requests_total")
        named = httpx.get(f"{stem}.webp")

        assert (chosen.headers["content-type"], chosen.headers["vary"]) == ("image/webp", "Accept")
        assert (named.content, named.headers["x-cache-status"]) == (chosen.content, "HIT")
        assert "vary" not in named.headers
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    def test_what_all_can_show_is_kept_as_auto(self, edge: str, darkroom: Service, upload_id: str) -> None:
        url = f"{edge}/images/{upload_id}/medium.auto"
        first = httpx.get(url, headers={"Accept": "image/png,*/*"})
        asked = darkroom.metric("darkroom_variant_requests_total")
        second = httpx.get(url, headers={"Accept": "image/avif;q=0"})

        assert (first.headers["content-type"], first.headers["vary"]) == ("image/jpeg", "Accept")
        assert (second.content, second.headers["x-cache-status"]) == (first.content, "HIT")
        assert second.headers["vary"] == "Accept"
        assert darkroom.metric("darkroom_variant_requests_total") == asked


class TestUploads:
    def test_one_that_is_too_large_is_a_problem_before_it_is_sent(self, stub: StubOrigin, stub_edge: str) -> None:
        answer = httpx.post(f"{stub_edge}/images/upload", content=bytes(12 << 20))

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.headers["content-type"] == "application/problem+json"
        assert stub.asked == []

    def test_between_the_limits_darkroom_answers(self, edge: str) -> None:
        answer = httpx.post(f"{edge}/images/upload", files={"image": ("a.jpg", b"\xff\xd8\xff" + bytes(10 << 20))})

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "10 MB" in answer.json()["detail"]

    def test_it_is_passed_on_while_it_comes(self, stub: StubOrigin, stub_edge: str, tmp_path: Path) -> None:
        def slowly() -> Iterator[bytes]:
            yield b"first"
            deadline = time.monotonic() + 5
            while not started.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            yield b"last"

        started = tmp_path / "started"
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(10)
        (tmp_path / "streaming").mkdir()
        own = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with nginx(tmp_path / "streaming", own, own) as url, listener:

            def serve() -> list[bytes]:
                connection, _ = listener.accept()
                received = [connection.recv(65536)]
                while b"first" not in b"".join(received):
                    received.append(connection.recv(65536))
                started.touch()
                while b"last" not in b"".join(received):
                    received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                connection.close()
                return received

            async def both() -> tuple[list[bytes], httpx.Response]:
                client = asyncio.to_thread(httpx.post, f"{url}/images/upload", content=slowly())
                return await asyncio.gather(asyncio.to_thread(serve), client)

            _, answer = asyncio.run(both())
        assert answer.status_code == 201
        assert started.exists()

    def test_the_key_reaches_ingest(self, stub: StubOrigin, stub_edge: str) -> None:
        httpx.get(f"{stub_edge}/images?limit=2", headers={"Authorization": "Bearer key"})

        assert stub.asked[0].headers["authorization"] == "Bearer key"


def test_the_log_is_json_and_says_what_the_cache_did(stub: StubOrigin, tmp_path: Path, path: str) -> None:
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path, stub.url, stub.url) as url:
        httpx.get(url + path)
        httpx.get(f'{url}{path}?"\\')
        httpx.get(url)
    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()][1:]
    assert [(line["uri"].split("?")[0], line["status"], line["cache"]) for line in lines] == [
        (path, 200, "MISS"),
        (path, 200, "HIT"),
        ("/", 200, ""),
    ]


class TestBucketFirst:
    """deploy/bucket-first.conf, before a real S3 server."""

    @pytest.fixture
    def bucket(self, seaweedfs: SeaweedServer) -> str:
        """Whoever knows the path may read below images/, and nothing else."""
        name = f"edge-{uuid4().hex[:12]}"
        seaweedfs.create_bucket(name)
        seaweedfs.publish(name, "images/*")
        return name

    @pytest.fixture
    def bucket_edge(self, tmp_path: Path, stub: StubOrigin, seaweedfs: SeaweedServer, bucket: str) -> Iterator[str]:
        with nginx(tmp_path, stub.url, stub.url, bucket_url=f"{seaweedfs.endpoint_url}/{bucket}") as url:
            yield url

    def test_what_is_stored_costs_no_python(
        self, bucket_edge: str, stub: StubOrigin, seaweedfs: SeaweedServer, bucket: str, path: str
    ) -> None:
        seaweedfs.put(bucket, path[1:], b"stored", "image/webp", "public, max-age=31536000, immutable")

        answers = [httpx.get(bucket_edge + path) for _ in range(2)]

        assert [answer.text for answer in answers] == ["stored", "stored"]
        assert [answer.headers["x-cache-status"] for answer in answers] == ["MISS", "HIT"]
        assert answers[0].headers["content-type"] == "image/webp"
        assert answers[0].headers["x-content-type-options"] == "nosniff"
        assert stub.asked == []

    def test_what_is_not_comes_from_the_origin_once(self, bucket_edge: str, stub: StubOrigin, path: str) -> None:
        async def herd() -> list[httpx.Response]:
            async with httpx.AsyncClient(timeout=30) as client:
                return await asyncio.gather(*(client.get(bucket_edge + path) for _ in range(20)))

        stub.answer.seconds = 0.3
        answers = asyncio.run(herd())

        assert {(answer.status_code, answer.text) for answer in answers} == {(200, "picture")}
        assert stub.paths() == {path: 1}

    def test_the_buckets_403_is_never_kept(self, bucket_edge: str, stub: StubOrigin, path: str) -> None:
        stub.answer = Answer(503, b"{}", {"Cache-Control": "no-store"})
        failed = httpx.get(bucket_edge + path)
        stub.answer = Answer()

        assert failed.status_code == 503
        assert httpx.get(bucket_edge + path).text == "picture"

    def test_an_original_is_out_of_reach(self, seaweedfs: SeaweedServer, bucket: str, bucket_edge: str) -> None:
        seaweedfs.put(bucket, "originals/1", b"private", "image/jpeg", "no-store")

        assert httpx.get(f"{seaweedfs.endpoint_url}/{bucket}/originals/1").status_code == 403
        assert httpx.get(f"{bucket_edge}/originals/1").status_code == 404
