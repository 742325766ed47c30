"""Without API keys, cross-site uploads are refused."""

import pytest

from tests.unit.ingest.examples import picture
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS, THEIRS = "http://origin.test", "https://evil.test"
REFUSED = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site", "origin": OURS},
    {"sec-fetch-site": "cross-site", "accept": "text/html"},
    {"origin": THEIRS},
    {"origin": "null"},
    {"origin": "http://origin.test.evil.test"},
    {"origin": "http://origin.test:81"},
    {"origin": ""},
    {"origin": "http://[no host"},
]
TAKEN = [
    {},
    {"sec-fetch-site": "same-origin", "origin": OURS},
    {"sec-fetch-site": "same-origin", "origin": "null"},
    {"sec-fetch-site": "same-site", "origin": "http://origin.test:3000"},
    {"sec-fetch-site": "none"},
    {"origin": OURS},
    {"origin": OURS, "host": "origin.test"},
]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_cross_site_upload_is_refused_unread(service: Service, headers: dict[str, str]) -> None:
    before = await service.holdings()

    answer = await service.upload(picture(), **headers)

    assert answer.status_code == 403
    assert "page of another site" in answer.text
    assert await service.holdings() == before
    if "accept" not in headers:
        assert answer.json()["code"] == "cross_site"


@pytest.mark.parametrize("headers", TAKEN, ids=str)
async def test_same_site_and_non_browser_uploads_are_accepted(service: Service, headers: dict[str, str]) -> None:
    assert (await service.upload(picture(), **headers)).status_code == 201


async def test_public_url_is_accepted_behind_a_proxy(service: Service) -> None:
    headers = {"origin": "http://pictures.test:8080", "host": "ingest"}

    assert (await service.upload(picture(), **headers)).status_code == 403
    public = service.configured(public_url="http://pictures.test:8080/darkroom")
    assert (await public.upload(picture(), **headers)).status_code == 201
    assert (await public.upload(picture(), origin=THEIRS)).status_code == 403


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_api_key_suffices(service: Service, headers: dict[str, str]) -> None:
    locked = service.configured(api_keys=("first-first-first",))

    assert (await locked.upload(picture(), authorization="Bearer first-first-first", **headers)).status_code == 201
    assert (await locked.upload(picture(), **headers)).status_code == 401


async def test_cors_is_not_allowed(service: Service) -> None:
    """Without CORS headers, browsers hide responses from other sites, and preflight requests fail."""
    async with service.client({"origin": THEIRS, "access-control-request-method": "POST"}) as client:
        asked = await client.options("/images/upload")

    assert asked.status_code == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]
