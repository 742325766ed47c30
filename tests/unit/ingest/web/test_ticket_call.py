"""`POST /images/tickets`, the call that makes tickets."""

import json
import time

import httpx
import jwt
import pytest

from tests.unit.ingest.web.conftest import NEW, Service
from tests.unit.ingest.web.tickets import ADMIN, FIELDS, send

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def make(service: Service, body: bytes, **headers: str) -> httpx.Response:
    async with service.client(ADMIN | headers) as client:
        return await client.post("/images/tickets", content=body)


async def test_call_makes_a_ticket_with_these_claims(keyed: Service) -> None:
    answer = await make(keyed, json.dumps(FIELDS | {"maxBytes": 1 << 20, "expiresIn": 90}).encode())

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    claims = jwt.decode(answer.json()["ticket"], NEW, ["HS256"])
    assert {name: claims[name] for name in FIELDS} == FIELDS
    assert claims["maxBytes"] == 1 << 20
    assert 0 < claims["exp"] - time.time() <= 90
    assert answer.json()["expiresAt"] == time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(claims["exp"]))
    uploaded = await send(keyed, {"authorization": f"Bearer {answer.json()['ticket']}"})
    assert (uploaded.status_code, uploaded.json()["owner"]) == (201, "Zoë")


async def test_empty_object_and_nulls_make_a_plain_ticket(keyed: Service) -> None:
    for body in (b"{}", b'{"owner": null, "expiresIn": null, "maxBytes": null}'):
        claims = jwt.decode((await make(keyed, body)).json()["ticket"], NEW, ["HS256"])
        assert claims.keys() == {"exp", "jti"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b'{"owner": "a", "owner": "b"}', "malformed"),
        (b'{"owner": ""}', "invalid_field"),
        (b'{"metadata": []}', "invalid_field"),
        (b'{"expiresIn": 0}', "invalid_field"),
        (b'{"expiresIn": 86401}', "invalid_field"),
        (b'{"expiresIn": "60"}', "invalid_field"),
        (b'{"expiresIn": true}', "invalid_field"),
        (b'{"maxBytes": 0}', "invalid_field"),
        (b'{"maxBytes": 1048577}', "invalid_field"),
        (b'{"exp": 1}', "unknown_field"),
        (b'{"jti": "one"}', "unknown_field"),
    ],
)
async def test_invalid_ticket_request_returns_400(keyed: Service, body: bytes, code: str) -> None:
    answer = await make(keyed, body)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_call_needs_the_scope_upload_and_the_setting(keyed: Service, service: Service) -> None:
    assert (await make(keyed, b"{}", authorization="Bearer fedcba9876543210")).status_code == 200
    assert (await make(keyed, b"{}", authorization="")).status_code == 401
    answer = await make(service, b"{}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "UPLOAD_KEYS is not set" in answer.json()["detail"]
    assert (await keyed.get("/images/tickets", **ADMIN)).status_code == 405
