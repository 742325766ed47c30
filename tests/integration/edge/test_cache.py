"""Each variant is fetched once, served while the origin is down, and sent in ranges."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROBE, PROGRAM, Answer, StubOrigin, nginx
from tests.service import Service


class TestOnce:
    def test_second_request_is_a_hit_without_the_origin(self, edge: str, darkroom: Service, upload_id: str) -> None:
        url = f"{edge}/images/{upload_id}/medium.avif"
        first = http.get(url)
        asked = darkroom.metric("darkroom_variant_requests_total")
        second = http.get(url)

        assert first.headers["x-cache-status"] == "MISS"
        assert second.headers["x-cache-status"] == "HIT"
        assert second.content == first.content
        assert {name: second.headers[name] for name in ("etag", "content-type", "cache-control", "cache-tag")} == {
            name: first.headers[name] for name in ("etag", "content-type", "cache-control", "cache-tag")
        }
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    async def test_concurrent_requests_reach_the_origin_once(
        self, edge: str, darkroom: Service, upload_id: str
    ) -> None:
        asked = darkroom.metric("darkroom_variant_requests_total")
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=edge, timeout=30, limits=limits, verify=False) as client:
            answers = await asyncio.gather(*(client.get(f"/images/{upload_id}/large.webp") for _ in range(100)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert darkroom.metric("darkroom_variant_requests_total") == asked + 1

    @pytest.mark.promise("E1")
    def test_cached_variant_is_served_while_the_origin_is_down(self, tmp_path: Path, path: str) -> None:
        need(PROGRAM, "nginx-light")
        with StubOrigin() as origin, nginx(tmp_path, origin.url, origin.url) as url:
            http.get(url + path)
            origin.close()
            assert (http.get(url + path).status_code, http.get(url + path).text) == (200, "picture")

            lost = http.get(f"{url}/images/{uuid4()}/medium.webp")
        assert (lost.status_code, lost.json()["code"]) == (503, "unavailable")
        assert (lost.headers["cache-control"], lost.headers["retry-after"]) == ("no-store", "5")

    def test_removing_a_cache_file_purges_its_variant(self, stub: StubOrigin, tmp_path: Path, path: str) -> None:
        """As docs/deploy.md says: the file's name is the MD5 of the path."""
        need(PROGRAM, "nginx-light")
        with nginx(tmp_path, stub.url, stub.url) as url:
            http.get(url + path)
            name = hashlib.md5(path.encode()).hexdigest()
            (tmp_path / "cache" / name[-1] / name[-3:-1] / name).unlink()
            stub.answer = Answer(404, b"{}", {"Cache-Control": "public, max-age=60"})

            assert http.get(url + path).status_code == 404


class TestStale:
    @pytest.fixture(scope="class")
    @classmethod
    def expired(cls, stub_origin: StubOrigin, stub_edge: str) -> Callable[[str], str]:
        """Paths of cached responses that have expired: variants, and a 404."""
        headers = {"Cache-Control": "public, max-age=3", "ETag": '"a"'}  # time for a second request of each
        names = ("failing", "herd", "herd of 404", "unchanged", "missing")
        paths = {name: f"/images/{uuid4()}/medium.webp" for name in names}
        for name, path in paths.items():
            is_missing = name in ("missing", "herd of 404")
            stub_origin.answer = Answer(404, b"{}", headers) if is_missing else Answer(headers=headers)
            statuses = [http.get(stub_edge + path).headers["x-cache-status"] for _ in range(2)]
            assert statuses == ["MISS", "HIT"]
        time.sleep(4)
        return paths.__getitem__

    def test_expired_variant_is_served_while_the_origin_fails(
        self, stub: StubOrigin, stub_edge: str, expired: Callable[[str], str]
    ) -> None:
        stub.answer = Answer(503, b"{}", {"Cache-Control": "no-store"})

        stale = http.get(stub_edge + expired("failing"))

        assert (stale.status_code, stale.text, stale.headers["x-cache-status"]) == (200, "picture", "STALE")

    @pytest.mark.parametrize("name", ["herd", "herd of 404"])
    def test_expired_response_is_not_served_during_its_renewal(
        self, stub: StubOrigin, stub_edge: str, expired: Callable[[str], str], name: str
    ) -> None:
        """It may be the 404 of a variant that nginx was told to forget."""
        path = expired(name)
        stub.answer = Answer(body=b"renewed", seconds=0.5)

        async def herd() -> list[httpx.Response]:
            async with httpx.AsyncClient(verify=False) as client:
                return await asyncio.gather(*(client.get(stub_edge + path) for _ in range(20)))

        assert {answer.text for answer in asyncio.run(herd())} == {"renewed"}

    def test_unchanged_variant_is_renewed_by_a_304(
        self, stub: StubOrigin, stub_edge: str, expired: Callable[[str], str]
    ) -> None:
        path = expired("unchanged")
        stub.answer = Answer(304, b"", {"Cache-Control": "public, max-age=60", "ETag": '"a"'})

        assert http.get(stub_edge + path).headers["x-cache-status"] == "REVALIDATED"
        assert http.get(stub_edge + path).headers["x-cache-status"] == "HIT"
        assert stub.asked[-1].headers["if-none-match"] == '"a"'

    @pytest.mark.promise("C6")
    def test_404_expires_after_its_max_age(
        self, stub: StubOrigin, stub_edge: str, expired: Callable[[str], str]
    ) -> None:
        assert http.get(stub_edge + expired("missing")).text == "picture"


class TestFailures:
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_server_errors_are_never_cached(self, stub: StubOrigin, stub_edge: str, path: str, status: int) -> None:
        stub.answer = Answer(status, b'{"code": "theirs"}', {"Cache-Control": "no-store", "Retry-After": "1"})
        failed = http.get(stub_edge + path)
        stub.answer = Answer()

        assert (failed.status_code, failed.json(), failed.headers["retry-after"]) == (status, {"code": "theirs"}, "1")
        assert http.get(stub_edge + path).text == "picture"

    def test_404_of_the_origin_is_cached_for_a_minute(self, edge: str, darkroom: Service) -> None:
        url = f"{edge}/images/{uuid4()}/small.jpg"
        first = http.get(url)
        asked = darkroom.metric("darkroom_variant_requests_total")
        second = http.get(url)

        assert (first.status_code, first.headers["cache-control"]) == (404, "public, max-age=60")
        assert (second.json(), second.headers["x-cache-status"]) == (first.json(), "HIT")
        assert darkroom.metric("darkroom_variant_requests_total") == asked


class TestParts:
    def test_range_of_an_uncached_variant_is_a_part_and_caches_the_whole(
        self, edge: str, darkroom: Service, upload_id: str
    ) -> None:
        url = f"{edge}/images/{upload_id}/small.png"
        part = http.get(url, headers={"Range": "bytes=4-9"})
        asked = darkroom.metric("darkroom_variant_requests_total")
        whole = http.get(url)

        assert (part.status_code, part.content) == (206, whole.content[4:10])
        assert part.headers["content-range"] == f"bytes 4-9/{len(whole.content)}"
        assert whole.headers["x-cache-status"] == "HIT"
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    def test_ranges_of_a_cached_variant_are_parts(self, cached_url: str) -> None:
        whole = http.get(cached_url).content
        for wanted, expected in {
            "bytes=0-0": (206, whole[:1]),
            "bytes=10-": (206, whole[10:]),
            "bytes=-5": (206, whole[-5:]),
            "bytes=0-1,4-5": (200, whole),
            "bytes=nonsense": (416, None),
            "bytes=99999999-": (416, None),
        }.items():
            answer = http.get(cached_url, headers={"Range": wanted})
            found = (answer.status_code, answer.content if answer.status_code != 416 else None)
            assert found == expected, wanted

    def test_only_responses_with_a_sure_range_are_immutable(self, edge: str, cached_url: str) -> None:
        """nginx adds headers before it knows the range, and caches may keep a 416."""
        year = "public, max-age=31536000, immutable"
        for wanted, expected in {
            "bytes=0-0": (206, year),
            "bytes=00-5": (206, year),
            "bytes=-5": (206, year),
            "bytes=0-1,4-5": (200, year),
            "bytes=10-": (206, "no-cache"),
            "bytes=-0": (416, "no-cache"),
            "bytes=nonsense": (416, "no-cache"),
            "bytes=99999999-": (416, "no-cache"),
            "BYTES=99999999-": (416, "no-cache"),
        }.items():
            answer = http.get(cached_url, headers={"Range": wanted})
            assert (answer.status_code, answer.headers.get_list("cache-control")) == (expected[0], [expected[1]]), (
                wanted
            )
        missing = http.get(f"{edge}/images/{uuid4()}/small.jpg", headers={"Range": "bytes=10-"})
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "public, max-age=60")
        known = {"If-None-Match": http.get(cached_url).headers["etag"]}
        assert http.get(cached_url, headers=known).headers.get_list("cache-control") == [year]

    def test_if_range_of_another_version_sends_the_whole(self, cached_url: str) -> None:
        etag = http.get(cached_url).headers["etag"]

        assert http.get(cached_url, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
        assert http.get(cached_url, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200

    def test_head_request_caches_the_whole(self, edge: str, upload_id: str) -> None:
        url = f"{edge}/images/{upload_id}/small.avif"
        head = http.head(url)
        get = http.get(url)

        assert (head.status_code, head.content, get.headers["x-cache-status"]) == (200, b"", "HIT")
        assert int(head.headers["content-length"]) == len(get.content)

    def test_conditional_request_is_answered_by_the_edge(self, cached_url: str, darkroom: Service) -> None:
        known = http.get(cached_url).headers
        asked = darkroom.metric("darkroom_variant_requests_total")
        by_tag = http.get(cached_url, headers={"If-None-Match": f'W/"x", {known["etag"]}'})
        by_date = http.get(cached_url, headers={"If-Modified-Since": known["last-modified"]})

        assert [by_tag.status_code, by_date.status_code] == [304, 304]
        assert (by_tag.content, by_tag.headers["etag"]) == (b"", known["etag"])
        assert http.get(cached_url, headers={"If-None-Match": '"other"'}).status_code == 200
        assert darkroom.metric("darkroom_variant_requests_total") == asked

    def test_variants_are_not_compressed_again(self, cached_url: str) -> None:
        answer = http.get(cached_url, headers={"Accept-Encoding": "gzip, br"})

        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.content)


def test_access_log_is_json_with_the_cache_status(stub: StubOrigin, tmp_path: Path, path: str) -> None:
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path, stub.url, stub.url) as url:
        http.get(url + path)
        http.get(f'{url}{path}?"\\')
        http.get(url)
    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert [(line["uri"].split("?")[0], line["status"], line["cache"]) for line in lines if line["uri"] != PROBE] == [
        (path, 200, "MISS"),
        (path, 200, "HIT"),
        ("/", 200, ""),
    ]
