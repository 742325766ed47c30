"""Responses for variants that are stored or can be derived."""

import asyncio
import hashlib
import re

import pytest

from proxy.keys import variant_key
from proxy.web.caching import http_date
from tests.fakes import rendering_of
from tests.unit.proxy.web.site import Site

FOREVER = "public, max-age=31536000, immutable"
EXPOSED = "ETag, Content-Range, Content-Location, Retry-After, Cache-Status, Server-Timing"


def body_of(site: Site, name: str) -> bytes:
    variant = site.settings.sizes.parse(name)
    assert variant is not None
    return rendering_of(b"an original", site.recipes.target(variant))


class TestOk:
    @pytest.mark.promise("C7")
    @pytest.mark.parametrize(
        ("name", "media_type"),
        [
            ("small.jpg", "image/jpeg"),
            ("medium.png", "image/png"),
            ("large.webp", "image/webp"),
            ("medium@2x.avif", "image/avif"),
            ("small@3x.jpg", "image/jpeg"),
        ],
    )
    async def test_ok_has_exactly_the_documented_headers(self, site: Site, name: str, media_type: str) -> None:
        variant = site.settings.sizes.parse(name)
        assert variant is not None
        body = body_of(site, name)

        answer = await site.get(name)
        await site.variant_service.drain()

        stored = await site.store.inner.head(variant_key(site.upload_id, variant))
        timing = answer.headers.pop("server-timing")
        modified = answer.headers.pop("last-modified")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers == {
            "content-type": media_type,
            "content-length": str(len(body)),
            "etag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"',
            "cache-control": FOREVER,
            "x-content-type-options": "nosniff",
            "cache-status": "darkroom; fwd=miss; stored",
            "cache-tag": stored.metadata["cache-tag"],
            "x-amz-meta-cache-tag": stored.metadata["cache-tag"],
            "accept-ranges": "bytes",
            "content-security-policy": "default-src 'none'; sandbox",
            "access-control-allow-origin": "*",
            "access-control-expose-headers": EXPOSED,
            "cross-origin-resource-policy": "cross-origin",
            "timing-allow-origin": "*",
            "referrer-policy": "no-referrer",
            "content-disposition": f'inline; filename="{name}"',
        }
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", modified)
        assert re.fullmatch(r"fetch;dur=\d+\.\d, decode;dur=250\.0, resize;dur=125\.0, encode;dur=62\.5", timing)

    async def test_cache_status_names_the_source(self, site: Site) -> None:
        derived = await site.get()
        hot = await site.get()
        await site.variant_service.drain()
        site.variant_service._memory_cache.forget(site.upload_id)
        stored = await site.get()

        statuses = [answer.headers["cache-status"] for answer in (derived, hot, stored)]
        assert statuses == ["darkroom; fwd=miss; stored", "darkroom; hit", "darkroom; hit"]
        assert derived.body == hot.body == stored.body
        assert re.fullmatch(r"fetch;dur=\d+\.\d", hot.headers["server-timing"])

    async def test_memory_cache_hit_gives_the_same_response(self, site: Site) -> None:
        await site.get("small.jpg")
        hot, whole_as_a_range = await site.get("small.jpg"), await site.get("small.jpg", {"Range": "bytes=x"})

        assert hot.body == whole_as_a_range.body
        hot.headers.pop("server-timing")
        whole_as_a_range.headers.pop("server-timing")
        assert hot.headers == whole_as_a_range.headers
        assert site.metrics.variant_requests.labels("hot")._value.get() == 2

    async def test_cache_status_marks_collapsed_requests(self, site: Site) -> None:
        gate = site.pool.hold()
        requests = [asyncio.create_task(site.get()) for _ in range(10)]
        await gate.reached.wait()
        gate.open()

        answers = await asyncio.gather(*requests)

        statuses = [answer.headers["cache-status"] for answer in answers]
        assert statuses == ["darkroom; fwd=miss; stored"] + ["darkroom; fwd=miss; collapsed"] * 9
        assert {answer.status for answer in answers} == {200}
        assert {(answer.body, answer.headers["etag"]) for answer in answers} == {
            (answers[0].body, answers[0].headers["etag"])
        }
        assert site.pool.renderings == 1

    async def test_last_modified_is_the_stores_once_stored(self, site: Site) -> None:
        await site.get()
        await site.variant_service.drain()
        site.variant_service._memory_cache.forget(site.upload_id)

        answer = await site.get()

        stored = await site.store.inner.head(f"{site.path[1:]}/medium.webp")
        assert answer.headers["last-modified"] == http_date(stored.last_modified)

    @pytest.mark.promise("C5")
    async def test_response_ignores_query_and_unkeyed_headers(self, site: Site) -> None:
        await site.get()
        plain = await site.get()
        unkeyed = {
            "Host": "evil.test",
            "X-Forwarded-Host": "evil.test",
            "X-Forwarded-Proto": "gopher",
            "X-Forwarded-Scheme": "gopher",
            "X-Original-URL": "/metrics",
            "X-Rewrite-URL": "/metrics",
            "X-HTTP-Method-Override": "DELETE",
            "Forwarded": "host=evil.test;proto=gopher",
            "Accept": "text/html",
            "Accept-Encoding": "gzip",
            "Accept-Language": "tlh",
            "Origin": "https://evil.test",
            "Cookie": "session=1",
            "Authorization": "Bearer guess",
            "User-Agent": "x",
        }

        for headers, query in [({}, "x=1"), ({}, "size=large&format=png"), (unkeyed, ""), (unkeyed, "x=2")]:
            answer = await site.get(headers=headers, query=query)
            assert answer.body == plain.body
            assert without_timing(answer.headers) == without_timing(plain.headers)
        assert site.pool.renderings == 1
        assert "vary" not in plain.headers
        assert "set-cookie" not in plain.headers


class TestHead:
    async def test_head_is_get_without_the_body(self, site: Site) -> None:
        await site.get()
        get = await site.get()

        head = await site.get(method="HEAD")

        assert head.status == 200
        assert without_timing(head.headers) == without_timing(get.headers)
        assert head.headers["content-length"] == str(len(get.body))

    async def test_head_ignores_ranges(self, site: Site) -> None:
        whole = await site.get(method="HEAD")
        part = await site.get(headers={"Range": "bytes=2-4"}, method="HEAD")

        assert part.status == 200
        assert part.headers["content-length"] == whole.headers["content-length"]

    async def test_head_derives_as_get_does(self, site: Site) -> None:
        head = await site.get(method="HEAD")

        assert head.headers["cache-status"] == "darkroom; fwd=miss; stored"
        assert (await site.get()).headers["etag"] == head.headers["etag"]


class TestNotModified:
    @pytest.mark.promise("C6")
    async def test_current_copy_is_304(self, site: Site) -> None:
        whole = await site.get()

        for headers in (
            {"If-None-Match": whole.headers["etag"]},
            {"If-None-Match": f'"x", W/{whole.headers["etag"]}'},
            {"If-Modified-Since": whole.headers["last-modified"]},
            {"If-None-Match": whole.headers["etag"], "Range": "bytes=0-1"},
        ):
            answer = await site.get(headers=headers)
            assert (answer.status, answer.body) == (304, b"")
            for name in ("etag", "last-modified", "cache-control", "cache-tag"):
                assert answer.headers[name] == whole.headers[name]
            assert "content-length" not in answer.headers
            assert "content-type" not in answer.headers
        assert (await site.get(method="HEAD", headers={"If-None-Match": whole.headers["etag"]})).status == 304

    async def test_outdated_copy_is_200(self, site: Site) -> None:
        whole = await site.get()

        answer = await site.get(
            headers={"If-None-Match": '"other"', "If-Modified-Since": whole.headers["last-modified"]}
        )

        assert (answer.status, answer.body) == (200, whole.body)

    async def test_not_modified_of_a_stored_variant_costs_one_get(self, site: Site) -> None:
        whole = await site.get()
        await site.variant_service.drain()
        site.variant_service._memory_cache.forget(site.upload_id)
        site.store.calls.clear()

        answer = await site.get(headers={"If-None-Match": whole.headers["etag"]})

        assert answer.status == 304
        assert site.pool.renderings == 1
        assert site.store.calls == [("get", f"{site.path[1:]}/medium.webp")]


class TestRange:
    @pytest.mark.promise("C6")
    async def test_range_is_206(self, site: Site) -> None:
        whole = await site.get()

        answer = await site.get(headers={"Range": "bytes=3-6"})

        assert (answer.status, answer.body) == (206, whole.body[3:7])
        assert answer.headers["content-range"] == f"bytes 3-6/{len(whole.body)}"
        assert answer.headers["content-length"] == "4"
        for name in ("etag", "last-modified", "cache-control", "content-type", "x-content-type-options", "cache-tag"):
            assert answer.headers[name] == whole.headers[name]

    @pytest.mark.parametrize(("header", "part"), [("bytes=-4", slice(-4, None)), ("bytes=5-", slice(5, None))])
    async def test_open_ended_ranges_are_206(self, site: Site, header: str, part: slice) -> None:
        whole = await site.get()

        answer = await site.get(headers={"Range": header})

        assert (answer.status, answer.body) == (206, whole.body[part])

    @pytest.mark.parametrize(
        "headers", [{"Range": "bytes=0-1,3-4"}, {"Range": "lines=1-2"}, {"Range": "bytes=0-1", "If-Range": '"other"'}]
    )
    async def test_invalid_range_is_200(self, site: Site, headers: dict[str, str]) -> None:
        whole = await site.get()

        answer = await site.get(headers=headers)

        assert (answer.status, answer.body) == (200, whole.body)
        assert "content-range" not in answer.headers

    async def test_range_with_matching_if_range_is_206(self, site: Site) -> None:
        whole = await site.get()

        for condition in (whole.headers["etag"], whole.headers["last-modified"]):
            answer = await site.get(headers={"Range": "bytes=0-1", "If-Range": condition})
            assert (answer.status, answer.body) == (206, whole.body[:2])

    async def test_range_past_the_end_is_416_with_the_size(self, site: Site) -> None:
        size = len((await site.get()).body)

        answer = await site.get(headers={"Range": f"bytes={size}-"})

        assert answer.status == 416
        assert answer.headers["content-range"] == f"bytes */{size}"
        assert "immutable" not in answer.headers["cache-control"]

    async def test_unsatisfiable_range_is_an_uncacheable_problem(self, site: Site) -> None:
        """Caches do not key by `Range`: a cached 416 would be served to requests for the whole."""
        answer = await site.get(headers={"Range": "bytes=999999-"})

        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("name", ["Range", "If-Modified-Since", "If-Range"])
    async def test_huge_numbers_in_headers_cause_no_500(self, site: Site, name: str) -> None:
        numbers = {
            "Range": {"Range": "bytes=0-" + "9" * 5000},
            "If-Modified-Since": {"If-Modified-Since": "Wed, 04 Mar 99999999999999999999 05:06:07 GMT"},
            "If-Range": {"If-Range": "Wed, 04 Mar 99999999999999999999 05:06:07 GMT", "Range": "bytes=0-1"},
        }

        answer = await site.get(headers=numbers[name])

        assert answer.status in (200, 206, 416)


def without_timing(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "server-timing"}
