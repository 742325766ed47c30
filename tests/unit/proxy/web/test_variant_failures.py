"""Responses for variants that are missing and cannot be derived."""

import json

import pytest

from proxy.errors import (
    DerivationTimeout,
    Overloaded,
    RenderFailed,
    ServiceError,
    TooManyPixels,
    TooSmall,
    Undecodable,
    UnsupportedFormat,
)
from proxy.model import new_upload_id
from proxy.web.variant_routes import CROSS_ORIGIN_HEADERS
from tests.asgi import Answer
from tests.unit.proxy.web.site import Site

SHORT = "public, max-age=60"


def problem_of(answer: Answer) -> dict[str, object]:
    """The problem document of a response, after checking its members."""
    body = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert set(body) == {"type", "title", "status", "detail", "code"}
    assert body["status"] == answer.status
    assert body["type"] == f"urn:darkroom:problem:{body['code']}"
    assert body["title"]
    assert body["detail"]
    for name in ("etag", "last-modified", "cache-tag", "set-cookie"):
        assert name not in answer.headers
    for name, value in CROSS_ORIGIN_HEADERS.items():  # pages of other sites may read what is wrong
        assert answer.headers[name.lower()] == value
    return body


@pytest.mark.heavy
async def test_unknown_upload_is_404_and_repeated_requests_reach_the_store_no_more(site: Site) -> None:
    path = f"/images/{new_upload_id()}"

    answers = [await site.get(f"{path}/{name}") for name in ("small.jpg", "medium.webp", "large@2x.avif") * 100]

    assert {answer.status for answer in answers} == {404}
    assert {answer.headers["cache-control"] for answer in answers} == {SHORT}
    assert problem_of(answers[0])["code"] == "not_found"
    assert answers[0].body == answers[-1].body
    assert [method for method, _ in site.store.calls] == ["get", "head"] * 2 + ["list"]


async def test_deleted_upload_returns_404_at_once(site: Site) -> None:
    await site.get()
    await site.variant_service.drain()
    await site.variant_service.delete_upload(site.upload_id)
    site.store.calls.clear()

    answer = await site.get()

    assert answer.status == 404
    assert answer.headers["cache-control"] == SHORT
    assert site.store.calls == []


async def test_store_outage_is_503_until_the_store_recovers(site: Site) -> None:
    site.store.fail("get", 2)

    answers = [await site.get() for _ in range(2)]

    for answer in answers:
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["cache-control"] == "no-store"
        assert problem_of(answer)["code"] == "store_unavailable"
    assert (await site.get()).status == 200


async def test_failed_write_back_does_not_affect_the_response(site: Site) -> None:
    site.store.fail("put")

    answer = await site.get()

    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.promise("C6")
@pytest.mark.parametrize(
    ("failure", "status", "caching", "retry_after"),
    [
        (Undecodable("The file is truncated."), 422, SHORT, None),
        (TooSmall("Tiny."), 422, SHORT, None),
        (TooManyPixels("Huge."), 422, SHORT, None),
        (Overloaded("Busy.", retry_after=7), 503, "no-store", "7"),
        (RenderFailed("Dead."), 503, "no-store", "5"),
        (DerivationTimeout("Late."), 504, "no-store", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ServiceError) else None,
)
async def test_failure_returns_its_status_and_cache_control(
    *, site: Site, failure: ServiceError, status: int, caching: str, retry_after: str | None
) -> None:
    site.pool.failure = failure

    answer = await site.get()

    assert answer.status == status
    assert answer.headers["cache-control"] == caching
    assert answer.headers.get("retry-after") == retry_after
    assert problem_of(answer) == {
        "type": f"urn:darkroom:problem:{failure.code}",
        "title": failure.title,
        "status": status,
        "detail": str(failure),
        "code": failure.code,
    }


async def test_undecodable_original_is_422(site: Site) -> None:
    site.pool.failure = UnsupportedFormat("Send a JPEG, PNG or WebP image.")

    answer = await site.get()

    assert answer.status == 422
    assert answer.headers["cache-control"] == SHORT


async def test_derivation_past_its_deadline_returns_504(make_site) -> None:
    site = make_site(render_timeout=0.05)
    gate = site.store.hold("get")

    answer = await site.get()
    gate.open()

    assert answer.status == 504
    assert answer.headers["cache-control"] == "no-store"
    assert problem_of(answer)["code"] == "derivation_timeout"


async def test_head_fails_as_get_does(site: Site) -> None:
    site.pool.failure = Undecodable("Broken.")

    get, head = await site.get(), await site.get(method="HEAD")

    assert head.status == get.status == 422
    assert head.headers == get.headers


async def test_conditional_request_does_not_turn_a_failure_into_304(site: Site) -> None:
    answer = await site.get(f"/images/{new_upload_id()}/small.jpg", headers={"If-None-Match": "*", "Range": "bytes=0-"})

    assert answer.status == 404
