"""Without API keys, cross-site calls that change something are refused."""

import pytest

from proxy.model import new_upload_id
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

OURS, THEIRS = "http://localhost", "https://evil.test"
REFUSED = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site", "origin": OURS},
    {"sec-fetch-site": "cross-site", "accept": "text/html"},
    {"origin": THEIRS},
    {"origin": "null"},
    {"origin": "http://localhost.evil.test"},
    {"origin": "http://localhost:81"},
    {"origin": ""},
    {"origin": "http://[no host"},
]
TAKEN = [
    {},
    {"sec-fetch-site": "same-origin", "origin": OURS},
    {"sec-fetch-site": "same-origin", "origin": "null"},
    {"sec-fetch-site": "same-site", "origin": "http://localhost:3000"},
    {"sec-fetch-site": "none"},
    {"origin": OURS},
    {"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000"},
]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_cross_site_upload_is_refused_unread(service: Service, headers: dict[str, str]) -> None:
    before = await service.holdings()

    answer = await service.upload(image_bytes(), **headers)

    assert answer.status_code == 403
    assert "page of another site" in answer.text
    assert await service.holdings() == before
    if "accept" not in headers:
        assert answer.json()["code"] == "cross_site"


@pytest.mark.parametrize("headers", TAKEN, ids=str)
async def test_same_site_and_non_browser_uploads_are_accepted(service: Service, headers: dict[str, str]) -> None:
    assert (await service.upload(image_bytes(), **headers)).status_code == 201


async def test_public_url_is_accepted_behind_a_proxy(service: Service) -> None:
    headers = {"origin": "http://pictures.test:8080", "host": "127.0.0.1:8000"}

    assert (await service.upload(image_bytes(), **headers)).status_code == 403
    public = service.configured(public_url="http://pictures.test:8080/darkroom")
    assert (await public.upload(image_bytes(), **headers)).status_code == 201
    assert (await public.upload(image_bytes(), origin=THEIRS)).status_code == 403


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_api_key_suffices(service: Service, headers: dict[str, str]) -> None:
    locked = service.configured(api_keys=("first-first-first",))

    assert (await locked.upload(image_bytes(), authorization="Bearer first-first-first", **headers)).status_code == 201
    assert (await locked.upload(image_bytes(), **headers)).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH"])
async def test_every_path_refuses_every_unsafe_method(service: Service, method: str) -> None:
    """Whether or not it has a route for the method: a new route needs no check of its own."""
    paths = {route.path.replace("{upload_id}", str(new_upload_id())) for route in service.routes()}
    assert "/images/upload" in paths
    for path in paths | {"/nowhere"}:
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": THEIRS}):
            async with service.client(headers) as client:
                answer = await client.request(method, path)

            assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), path


@pytest.mark.parametrize("headers", REFUSED[:2], ids=str)
async def test_cross_site_deletion_deletes_nothing(
    service: Service, created: dict[str, object], headers: dict[str, str]
) -> None:
    before = await service.holdings()
    async with service.client(headers) as client:
        answer = await client.delete(f"/images/{created['uploadId']}")

    assert answer.status_code == 403
    assert await service.holdings() == before


async def test_cross_site_reading_is_left_to_the_browser(service: Service) -> None:
    for method in ("GET", "HEAD"):
        async with service.client({"sec-fetch-site": "cross-site", "origin": THEIRS}) as client:
            assert (await client.request(method, "/images")).status_code == 200


async def test_cors_is_not_allowed(service: Service) -> None:
    """Without CORS headers, browsers hide responses from other sites, and preflight requests fail."""
    async with service.client({"origin": THEIRS, "access-control-request-method": "POST"}) as client:
        asked = await client.options("/images/upload")

    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]
