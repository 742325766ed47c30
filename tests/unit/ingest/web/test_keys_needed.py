"""With API keys, every call needs one except variants, health checks and the page."""

import pytest
import pytest_asyncio

from tests.unit.ingest.bodies import MULTIPART, upload_body
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
CALLS = [
    ("POST", "/images/upload"),
    ("GET", "/images"),
    ("GET", f"/images/{UNKNOWN}"),
    ("PATCH", f"/images/{UNKNOWN}"),
    ("DELETE", f"/images/{UNKNOWN}"),
    ("GET", f"/images/{UNKNOWN}/status"),
    ("GET", f"/images/{UNKNOWN}/events"),
    ("GET", "/metrics"),
    ("GET", "/no/such/path"),
    ("PUT", "/images"),
]
WRONG = [
    None,
    "Bearer wrong",
    "Bearer",
    "Bearer ",
    "Basic first-first-first",
    "first-first-first",
    "Bearer first-first-first,second-second-second",
    "Bearer first-first-firs",
    "Bearer \xe4",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def locked(service: Service) -> Service:
    return service.configured(api_keys=("first-first-first", "second-second-second"))


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("authorization", WRONG[:2])
async def test_call_without_valid_key_is_401(
    locked: Service, method: str, path: str, authorization: str | None
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    exchange = await Exchange([b""]).run(locked.app, method, path, **headers)

    assert exchange.status == 401
    assert b'"code": "unauthorized"' in exchange.answer
    assert exchange.headers["content-type"] == "application/problem+json"
    assert exchange.headers["www-authenticate"].startswith("Bearer")
    assert exchange.received == 0


@pytest.mark.parametrize("authorization", WRONG)
async def test_similar_keys_are_refused(locked: Service, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}

    assert (await Exchange().run(locked.app, "GET", "/images", **headers)).status == 401


@pytest.mark.parametrize(
    "authorization", ["Bearer first-first-first", "Bearer second-second-second", "bearer first-first-first"]
)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/images", 200),
        ("GET", f"/images/{UNKNOWN}", 404),
        ("DELETE", f"/images/{UNKNOWN}", 404),
        ("GET", f"/images/{UNKNOWN}/status", 404),
        ("GET", f"/images/{UNKNOWN}/events", 404),
        ("GET", "/metrics", 200),
    ],
)
async def test_call_with_any_valid_key_succeeds(
    locked: Service, authorization: str, method: str, path: str, status: int
) -> None:
    assert (await Exchange().run(locked.app, method, path, authorization=authorization)).status == status


async def test_upload_without_key_leaves_nothing(locked: Service) -> None:
    before = await locked.holdings()
    headers = {"content_type": MULTIPART}
    body = upload_body(image_bytes())

    refused = await Exchange([body]).run(locked.app, "POST", "/images/upload", **headers)
    assert refused.status == 401
    assert await locked.holdings() == before

    taken = await Exchange([body]).run(
        locked.app, "POST", "/images/upload", authorization="Bearer second-second-second", **headers
    )
    assert taken.status == 201


@pytest.mark.heavy
async def test_variants_and_health_checks_need_no_key(service: Service, locked: Service) -> None:
    upload_id = (await service.upload(image_bytes())).json()["uploadId"]

    for path in (f"/images/{upload_id}/small.jpg", "/healthz", "/readyz"):
        assert (await locked.get(path)).status_code == 200
    assert (await locked.get(f"/images/{UNKNOWN}/small.jpg")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/healthz/../images", "/images/%2e%2e/healthz", "/healthz%2f", "//healthz", "/HEALTHZ"]
)
async def test_similar_paths_are_not_open(locked: Service, path: str) -> None:
    assert (await Exchange().run(locked.app, "GET", path)).status == 401
