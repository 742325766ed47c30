"""`GET /images/tokens`: tokens for private variants, for keys that may read; and `GET /page/access`."""

from datetime import UTC, datetime

import pytest

from proxy.private_tokens import seconds_left
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY, OLD = "n" * 32, "o" * 32
READER, UPLOADER = {"authorization": "Bearer read-0123456789ab"}, {"authorization": "Bearer send-0123456789ab"}
ADMIN = {"authorization": "Bearer 0123456789abcdef"}
API_KEYS = ("reader:read:read-0123456789ab", "sender:upload:send-0123456789ab", "0123456789abcdef")
IDS = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "9f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


async def test_reader_gets_a_token_for_each_upload(service: Service) -> None:
    keyed = service.configured(api_keys=API_KEYS, signing_keys=(KEY, OLD))

    answer = await keyed.get(f"/images/tokens?ids={','.join(IDS)}", **READER)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()["tokens"]) == set(IDS)
    ends = datetime.fromisoformat(answer.json()["expiresAt"])
    now = datetime.now(UTC).timestamp()
    for upload_id in IDS:
        left = seconds_left([KEY], upload_id, answer.json()["tokens"][upload_id], now)
        assert left == pytest.approx(ends.timestamp() - now)
        assert 890 < left <= 1200
    assert (await keyed.get(f"/images/tokens?ids={IDS[0]}", **UPLOADER)).status_code == 403
    assert (await keyed.get(f"/images/tokens?ids={IDS[0]}")).status_code == 401


@pytest.mark.heavy
async def test_token_opens_the_private_variants_of_its_upload(service: Service) -> None:
    signing = service.configured(signing_keys=(KEY,))
    async with signing.client() as client:
        image = ("photo.jpg", image_bytes(), "image/jpeg")
        upload = (await client.post("/images/upload", files={"image": image}, data={"visibility": "private"})).json()
    tokens = (await signing.get(f"/images/tokens?ids={upload['uploadId']}")).json()["tokens"]
    url = upload["urls"]["small"]["jpg"]

    assert (await signing.get(f"{url}?token={tokens[upload['uploadId']]}")).status_code == 200
    assert (await signing.get(url)).status_code == 403


@pytest.mark.parametrize(
    ("query", "code"), [("", "malformed"), ("?ids=", "malformed"), ("?ids=x", "malformed"), ("?id=x", "unknown_field")]
)
async def test_other_queries_are_refused(service: Service, query: str, code: str) -> None:
    answer = await service.configured(signing_keys=(KEY,)).get(f"/images/tokens{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_server_without_signing_keys_signs_no_tokens(service: Service) -> None:
    answer = await service.get(f"/images/tokens?ids={IDS[0]}")

    assert answer.status_code == 404
    assert "SIGNING_KEYS is not set" in answer.json()["detail"]


async def test_tokens_have_no_other_methods(service: Service) -> None:
    answer = await service.delete("/images/tokens")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_access_names_the_scopes_of_the_key(service: Service) -> None:
    keyed = service.configured(api_keys=API_KEYS, signing_keys=(KEY,))
    scopes = {}
    for name, headers in {"none": {}, "reader": READER, "sender": UPLOADER, "admin": ADMIN}.items():
        answer = await keyed.get("/page/access", **headers)
        assert answer.headers["cache-control"] == "no-store"
        assert (answer.json()["keyRequired"], answer.json()["metrics"]) == (True, False)
        assert answer.json()["privateImages"]
        scopes[name] = set(answer.json()["scopes"])

    everything = {"upload", "read", "delete", "admin"}
    assert scopes == {"none": set(), "reader": {"read"}, "sender": {"upload"}, "admin": everything}
    assert (await keyed.get("/page/access", authorization="Bearer wrong")).status_code == 401


async def test_access_without_keys_is_complete(service: Service) -> None:
    everything = ["upload", "read", "delete", "admin"]
    access = {"keyRequired": False, "scopes": everything, "metrics": True, "privateImages": False}
    assert (await service.get("/page/access")).json() == access

    behind_edge = service.configured(public_url="https://shop.example")
    assert not (await behind_edge.get("/page/access")).json()["metrics"]
