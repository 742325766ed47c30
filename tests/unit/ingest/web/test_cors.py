"""CORS: the browser calls for the pages of `CORS_ORIGINS`, and nothing for others."""

from collections.abc import Mapping

import httpx
import pytest
import pytest_asyncio

from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOP, OTHER, THEIRS = "https://shop.example", "http://localhost:3000", "https://evil.test"
UPLOAD = "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
CALLS = [("POST", "/images/upload"), ("GET", f"{UPLOAD}/status"), ("GET", f"{UPLOAD}/events")]
ALLOW = "access-control-allow-origin"


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[(), ("0123456789abcdef",)], ids=["open", "keyed"])
async def shared(service: Service, request: pytest.FixtureRequest) -> Service:
    return service.configured(api_keys=request.param, cors_origins=(SHOP, OTHER), upload_keys=("x" * 32,))


async def call(service: Service, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    async with service.client(headers) as client:
        return await client.request(method, path)


def preflight(method: str, origin: str, headers: str = "authorization,content-type") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
        "sec-fetch-site": "cross-site",
    }


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("origin", [SHOP, OTHER])
async def test_preflight_of_an_allowed_origin_passes(shared: Service, method: str, path: str, origin: str) -> None:
    answer = await call(shared, "OPTIONS", path, preflight(method, origin))

    assert (answer.status_code, answer.headers[ALLOW]) == (200, origin)
    assert method in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("origin", [THEIRS, "null", "https://shop.example.evil.test", "http://shop.example"])
async def test_preflight_of_another_origin_names_none(shared: Service, method: str, path: str, origin: str) -> None:
    answer = await call(shared, "OPTIONS", path, preflight(method, origin))

    assert answer.status_code >= 400
    assert ALLOW not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", UPLOAD),
        ("PATCH", UPLOAD),
        ("GET", UPLOAD),
        ("GET", "/images"),
        ("GET", "/images/tokens"),
        ("POST", "/images/tickets"),
    ],
)
async def test_other_calls_have_no_cors(shared: Service, method: str, path: str) -> None:
    for answer in (
        await call(shared, "OPTIONS", path, preflight(method, SHOP)),
        await call(shared, method, path, {"origin": SHOP}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
async def test_preflight_of_another_method_is_refused(shared: Service, method: str) -> None:
    answer = await call(shared, "OPTIONS", "/images/upload", preflight(method, SHOP))

    assert answer.status_code == 400


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_refusals_name_an_allowed_origin_and_no_other(shared: Service, method: str, path: str) -> None:
    answer = await call(shared, method, path, {"origin": SHOP})
    assert answer.status_code >= 400
    assert answer.headers[ALLOW] == SHOP
    readable = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert readable >= {"Location", "Retry-After", "Idempotent-Replayed", "X-Request-Id"}
    assert "Origin" in answer.headers["vary"]

    assert ALLOW not in (await call(shared, method, path, {"origin": THEIRS})).headers


async def test_without_the_setting_nothing_is_allowed(service: Service) -> None:
    for method, path in CALLS:
        for answer in (
            await call(service, "OPTIONS", path, preflight(method, SHOP)),
            await call(service, method, path, {"origin": SHOP}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]
