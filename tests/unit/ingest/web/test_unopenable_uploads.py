"""`visibility=private` where no key signs tokens: a server that also serves the variants refuses it."""

from typing import Any

import httpx
import pytest

from ingest.web.ingest_app import ingest_app
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.tickets import ADMIN, ticket

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRIVATE = {"visibility": "private"}


async def upload(app: Any, data: dict[str, str], **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        return await client.post("/images/upload", files={"image": image_bytes()}, data=data)


async def test_private_upload_that_no_token_opens_is_refused(keyed: Service, created: dict[str, object]) -> None:
    before = await keyed.holdings()
    async with keyed.client(ADMIN) as client:
        answers = [
            await upload(keyed.app, PRIVATE, **ADMIN),
            await upload(keyed.app, {}, **ticket(**PRIVATE)),
            await client.patch(f"/images/{created['uploadId']}", json=PRIVATE | {"owner": "Zoë"}),
            await client.post("/images/tickets", json=PRIVATE),
        ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")
        assert "SIGNING_KEYS" in answer.json()["detail"]
    assert await keyed.holdings() == before


async def test_edge_or_proxies_may_have_the_keys(service: Service) -> None:
    """CloudFront verifies tokens itself; ingest alone does not know what the proxies have."""
    behind_cloudfront = service.configured(edge_secret="s" * 32)
    ingest_alone = ingest_app(service.ingest, warm_up=False, variants=False)

    for app in (behind_cloudfront.app, ingest_alone):
        assert (await upload(app, PRIVATE)).json()["visibility"] == "private"
