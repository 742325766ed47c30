"""Request ids, log lines and durations of requests."""

import asyncio
import re
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from proxy.errors import Overloaded, RenderFailed
from proxy.model import new_upload_id
from tests.fakes import sample
from tests.unit.proxy.web.site import Site

ID = "x-request-id"
NEW = re.compile(r"[0-9a-f]{32}")
VARIANT = "/images/{upload_id}/{variant}"


@pytest.fixture
def lines() -> list[MutableMapping[str, Any]]:
    """Captured log lines, with the bound context variables."""
    capture = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    return capture.entries


def counted(site: Site, route: str, status: int, method: str = "GET") -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return sample(site.metrics, "darkroom_request_seconds_count", **labels)


@pytest.mark.parametrize("given", ["a", "my-request.1", "A_b-9." * 10 + "four", "0af7651916cd43dd8448eb211c80319c"])
async def test_request_id_of_the_edge_is_kept_and_returned(site: Site, given: str) -> None:
    assert (await site.get("/healthz", {"X-Request-Id": given})).headers[ID] == given


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a,b", "a\tb", '"a"', "\xe9", "{}", "a/b"])
async def test_malformed_request_id_is_replaced(site: Site, given: str) -> None:
    assert NEW.fullmatch((await site.get("/healthz", {"X-Request-Id": given})).headers[ID])


async def test_each_request_without_id_gets_a_new_one(site: Site) -> None:
    assert len({(await site.get("/healthz")).headers[ID] for _ in range(3)}) == 3


async def test_publicly_cacheable_response_has_no_request_id(site: Site) -> None:
    given = {"X-Request-Id": "mine"}
    derived = await site.get("small.jpg", given)
    answers = [
        derived,
        await site.get("small.jpg", given),  # a memory cache hit
        await site.get("small.jpg", given | {"Range": "bytes=0-1"}),
        await site.get("small.jpg", given | {"If-None-Match": derived.headers["etag"]}),
        await site.get("small.jpeg", given),
        await site.get("huge.jpg", given),
        await site.get(f"/images/{new_upload_id()}/small.jpg", given),
    ]

    assert [answer.status for answer in answers] == [200, 200, 206, 304, 308, 404, 404]
    assert [answer.headers["cache-control"].partition(",")[0] for answer in answers] == ["public"] * 7
    assert not any(ID in answer.headers for answer in answers)


async def test_uncacheable_response_has_the_request_id(site: Site) -> None:
    site.store.fail("get")
    failed = await site.get("small.jpg", {"X-Request-Id": "mine"})
    wrong = await site.get("small.jpg", {"X-Request-Id": "mine"}, method="POST")

    assert (failed.status, failed.headers["cache-control"], failed.headers[ID]) == (503, "no-store", "mine")
    assert (wrong.status, wrong.headers[ID]) == (405, "mine")


async def test_request_seconds_are_labelled_by_route_template(site: Site) -> None:
    await site.get("small.jpg")
    await site.get("large.jpg")
    await site.get("huge.jpg")
    await site.get("/images/a/b/c/d")
    await site.get("/healthz")
    await site.get("/healthz", method="PURGE")

    assert counted(site, VARIANT, 200) == 2
    assert counted(site, VARIANT, 404) == 1
    assert counted(site, "none", 404) == 1
    assert counted(site, "/healthz", 200) == 1
    assert counted(site, "/healthz", 405, "other") == 1


async def test_memory_cache_hits_are_only_counted(site: Site, lines: list[MutableMapping[str, Any]]) -> None:
    await site.get("small.jpg")
    lines.clear()
    for _ in range(3):
        assert site.app.find_hit(f"{site.path}/small.jpg".encode(), None) is not None

    assert lines == []
    assert counted(site, VARIANT, 200) == 1
    assert sample(site.metrics, "darkroom_variant_requests_total", tier="hot") == 3


async def test_log_line_has_request_and_result(site: Site, lines: list[MutableMapping[str, Any]]) -> None:
    answer = await site.get(
        "small.jpg", {"X-Request-Id": "mine", "Authorization": "Bearer s3cret"}, query="token=s3cret"
    )

    [line] = lines
    assert 0 < line.pop("seconds") < 60
    assert line == {
        "event": "request",
        "log_level": "info",
        "request": "mine",
        "method": "GET",
        "route": VARIANT,
        "status": 200,
        "bytes": len(answer.body),
        "upload": site.upload_id,
        "variant": "small.jpg",
        "tier": "derived",
    }


async def test_routine_requests_are_logged_at_debug_level(site: Site, lines: list[MutableMapping[str, Any]]) -> None:
    await site.get("small.jpg")
    await site.variant_service.drain()
    site.variant_service._memory_cache.forget(None)
    lines.clear()
    for path in ("small.jpg", "huge.jpg", "/healthz", "/readyz", "/metrics"):
        await site.get(path)
    assert {line["log_level"] for line in lines} == {"debug"}
    assert lines[0]["tier"] == "stored"

    lines.clear()
    await site.get("/nowhere")
    assert [(line["log_level"], line["code"]) for line in lines] == [("info", "not_found")]


async def test_overload_is_counted_but_not_logged_unlike_other_failures(
    site: Site, lines: list[MutableMapping[str, Any]]
) -> None:
    for failure in (Overloaded(retry_after=1), RenderFailed()):
        site.pool.failure = failure
        await site.get("small.jpg")

    requests = [(line["code"], line["log_level"]) for line in lines if line["event"] == "request"]
    assert requests == [("overloaded", "debug"), ("render_failed", "info")]
    assert counted(site, VARIANT, 503) == 2


@pytest.mark.heavy
async def test_all_log_lines_of_a_request_have_its_id(site: Site, lines: list[MutableMapping[str, Any]]) -> None:
    site.pool.failure = RenderFailed()
    await site.get("small.jpg", {"X-Request-Id": "mine"})
    assert [line["event"] for line in lines] == ["derivation paused", "request failed", "request"]
    assert {line["request"] for line in lines} == {"mine"}
    assert {(line["upload"], line["variant"]) for line in lines} == {(site.upload_id, "small.jpg")}

    lines.clear()
    site.pool.failure = None
    site.store.fail("put", 1)
    await site.get("small.png", {"X-Request-Id": "other"})
    await site.variant_service.drain()
    assert {line["event"] for line in lines} == {"request", "write-back failed"}
    assert {line["request"] for line in lines} == {"other"}
    assert structlog.contextvars.get_contextvars() == {}


async def test_client_that_disconnects_before_the_response_is_status_0(
    site: Site, lines: list[MutableMapping[str, Any]]
) -> None:
    gate = site.pool.hold()
    asking = asyncio.create_task(site.get("small.jpg"))
    await gate.reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    gate.open()

    assert counted(site, VARIANT, 0) == 1
    assert [(line["status"], line["bytes"]) for line in lines] == [(0, 0)]
