"""Uploads with tickets: one upload each, without a key, from allowed origins."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from ingest.uploads.upload_tokens import RECEIPT
from tests.unit.ingest.bodies import MULTIPART, upload_body
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import NEW, OLD, SHOP, Service
from tests.unit.ingest.web.tickets import ADMIN, FIELDS, send, ticket

pytestmark = pytest.mark.asyncio(loop_scope="session")

THEIRS = "https://evil.test"


def receipt_of(answer: httpx.Response) -> dict[str, Any]:
    receipt = answer.json()["receipt"]
    assert jwt.get_unverified_header(receipt)["typ"] == RECEIPT
    proven: dict[str, Any] = jwt.decode(receipt, NEW, ["HS256"])
    return proven


async def test_ticket_uploads_without_a_key_and_its_claims_are_the_fields(keyed: Service, keyless: Service) -> None:
    for service in (keyed, keyless):
        answer = await send(service, ticket(key=OLD, **FIELDS))

        assert answer.status_code == 201
        assert {name: answer.json()[name] for name in FIELDS} == FIELDS
        assert receipt_of(answer)["owner"] == "Zoë"


async def test_claims_win_over_the_form_and_the_form_adds_the_rest(keyed: Service) -> None:
    form = {"externalId": "form", "focus": "1,1", "owner": "eve"}

    answer = await send(keyed, ticket(owner="Zoë", focus="0,0"), form)

    assert {name: answer.json()[name] for name in form} == {"externalId": "form", "focus": "0,0", "owner": "Zoë"}


async def test_form_cannot_name_the_owner_that_receipts_prove(keyed: Service) -> None:
    before = await keyed.holdings()

    answer = await send(keyed, ticket(), {"owner": "eve"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")
    assert await keyed.holdings() == before


@pytest.mark.parametrize("visibility", ["public", "private"])
async def test_form_cannot_name_the_visibility(keyed: Service, visibility: str) -> None:
    service = keyed.configured(signing_keys="k" * 32, default_visibility="private")
    before = await service.holdings()

    refused = await send(service, ticket(), {"visibility": visibility})

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_field")
    assert refused.json()["detail"].startswith("`visibility` is not in the ticket")
    assert await service.holdings() == before


async def test_visibility_is_that_of_the_ticket_or_the_default(keyed: Service) -> None:
    service = keyed.configured(signing_keys="k" * 32, default_visibility="private")

    answers = [
        await send(service, ticket()),
        await send(service, ticket(), {"visibility": ""}),
        await send(service, ticket(visibility="private"), {"visibility": "public"}),
        await send(service, ticket(visibility="public"), {"visibility": "private"}),
    ]

    assert [answer.json()["visibility"] for answer in answers] == ["private", "private", "private", "public"]


async def test_every_upload_has_a_receipt_of_its_original(keyed: Service, service: Service) -> None:
    answer = await send(keyed, ADMIN, {"owner": "Ida"})

    upload_id, proven = answer.json()["uploadId"], receipt_of(answer)
    original = await keyed.ingest.proxy.store.head(f"originals/{upload_id}")
    assert (proven["uploadId"], proven["owner"]) == (upload_id, "Ida")
    assert proven["sha256"] == original.metadata["sha256"]
    assert "receipt" not in (await send(service, {})).json()


async def test_ticket_is_good_for_one_upload(keyed: Service) -> None:
    headers = ticket(owner="Zoë")
    first = await send(keyed, headers)
    before = await keyed.holdings()

    again = await send(keyed, headers)
    other = await send(keyed, headers, file=image_bytes(121))

    assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (201, first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert other.json()["title"] == "The idempotency key or ticket was used for another upload"
    assert other.json()["detail"] == (
        "This ticket was used for another image or other fields. Use a new one for each image."
    )
    assert await keyed.holdings() == before


async def change(service: Service, location: str, **changes: Any) -> None:
    async with service.client(ADMIN) as client:
        assert (await client.patch(location, json=changes)).status_code == 200


async def test_repeat_by_ticket_shows_nothing_that_others_changed(keyed: Service) -> None:
    headers, form = ticket(owner="Zoë", metadata={"a": 1}), {"externalId": "7", "focus": "0.3,0.7"}
    first = await send(keyed, headers, form)
    await change(keyed, first.headers["location"], externalId="secret", metadata={"b": 2}, focus="1,1")

    again = await send(keyed, headers, form)

    assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (201, first.json(), "true")


@pytest.mark.parametrize("owner", ["Bob", None])
async def test_repeat_by_ticket_is_refused_once_the_upload_has_another_owner(keyed: Service, owner: str | None) -> None:
    headers = ticket(owner="Zoë")
    first = await send(keyed, headers)
    await change(keyed, first.headers["location"], owner=owner, metadata={"secret": 1})
    before = await keyed.holdings()

    again = await send(keyed, headers)

    assert (again.status_code, again.json()["code"]) == (422, "key_reused")
    assert again.json()["detail"] == (
        "The upload that this ticket was used for has another owner now. Use a new ticket."
    )
    assert "receipt" not in again.json()
    assert await keyed.holdings() == before


async def test_repeat_by_ticket_without_owner_is_refused_once_the_upload_has_one(keyed: Service) -> None:
    headers = ticket()
    first = await send(keyed, headers)
    await change(keyed, first.headers["location"], owner="Bob")

    again = await send(keyed, headers)

    assert (again.status_code, again.json()["code"]) == (422, "key_reused")


async def test_ticket_of_a_deleted_upload_stays_used(keyed: Service) -> None:
    headers = ticket(owner="Zoë")
    location = (await send(keyed, headers)).headers["location"]
    async with keyed.client(ADMIN) as client:
        assert (await client.delete(location)).status_code == 204
    before = await keyed.holdings()

    for file in (image_bytes(), image_bytes(121)):
        answer = await send(keyed, headers, file=file)

        assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
        assert answer.json()["detail"].startswith("This ticket was used for an upload that was deleted.")
    assert await keyed.holdings() == before


async def test_ticket_of_a_refused_upload_can_be_used_again(keyed: Service) -> None:
    headers = ticket()

    assert (await send(keyed, headers, file=image_bytes()[:-500])).status_code == 422
    assert (await send(keyed, headers)).status_code == 201


async def test_simultaneous_uploads_with_one_ticket_store_one(keyed: Service) -> None:
    headers, listed = ticket(externalId="race"), "/images?externalId=race"

    answers = await asyncio.gather(*(send(keyed, headers, file=image_bytes(130 + i)) for i in range(4)))

    assert min(answer.status_code for answer in answers) == 201
    assert {answer.status_code for answer in answers} <= {201, 409, 422}
    assert len((await keyed.get(listed, **ADMIN)).json()["images"]) == 1


async def test_idempotency_key_of_the_same_name_is_another_upload(keyed: Service) -> None:
    token = jwt.encode({"exp": int(time.time()) + 60, "jti": "same"}, NEW, "HS256")
    by_ticket = await send(keyed, {"authorization": f"Bearer {token}", "idempotency-key": "ignored"})

    by_key = await send(keyed, ADMIN | {"idempotency-key": "same"})

    assert by_ticket.status_code == by_key.status_code == 201
    assert by_ticket.json()["uploadId"] != by_key.json()["uploadId"]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: ticket(lifetime=0), "ticket_expired"),
        (lambda: ticket(key="another-secret-0123456789abcdef0123"), "invalid_ticket"),
        (lambda: ticket(lifetime=200_000), "invalid_ticket"),
        (lambda: ticket(owner=""), "invalid_ticket"),
        (lambda: {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, "invalid_ticket"),
    ],
    ids=["expired", "other key", "too long", "no owner", "no signature"],
)
async def test_wrong_ticket_is_refused_unread_and_stores_nothing(
    keyed: Service, keyless: Service, make: Callable[[], dict[str, str]], code: str
) -> None:
    headers, before = make(), await keyed.holdings()
    for service in (keyed, keyless):
        exchange = Exchange([upload_body(image_bytes())])

        await exchange.run(service.app, "POST", "/images/upload", content_type=MULTIPART, **headers)

        assert (exchange.status, json.loads(exchange.answer)["code"]) == (401, code)
        assert exchange.received_before_answer == 0
    assert await keyed.holdings() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/images"),
        ("POST", "/images/tickets"),
        ("GET", "/images/tokens"),
        ("GET", "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"),
        ("DELETE", "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"),
        ("GET", "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/status"),
        ("PUT", "/images/upload"),
        ("GET", "/metrics"),
    ],
)
async def test_ticket_opens_no_other_call(keyed: Service, method: str, path: str) -> None:
    exchange = await Exchange([b""]).run(keyed.app, method, path, **ticket())

    assert (exchange.status, json.loads(exchange.answer)["code"]) == (401, "unauthorized")


async def test_receipt_opens_nothing(keyed: Service) -> None:
    receipt = (await send(keyed, ticket())).json()["receipt"]

    answer = await send(keyed, {"authorization": f"Bearer {receipt}"})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_ticket")


async def test_ticket_limits_the_bytes_of_the_image(keyed: Service) -> None:
    size = len(image_bytes())

    fits = await send(keyed, ticket(maxBytes=size))
    refused = await send(keyed, ticket(maxBytes=size - 1))
    more_than_the_server = await send(keyed, ticket(maxBytes=5 << 20), file=image_bytes() + bytes(2 << 20))

    assert (fits.status_code, refused.status_code, more_than_the_server.status_code) == (201, 413, 413)
    assert refused.json()["detail"].startswith(f"The image may have at most {size - 1} bytes.")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": SHOP, "sec-fetch-site": "cross-site"}, 201),
        ({"origin": SHOP}, 201),
        ({"origin": THEIRS, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": THEIRS}, 403),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://localhost", "sec-fetch-site": "same-origin"}, 201),
        ({}, 201),
    ],
)
async def test_pages_of_allowed_origins_alone_may_send_tickets(
    keyed: Service, keyless: Service, headers: dict[str, str], status: int
) -> None:
    for service in (keyed, keyless):
        answer = await send(service, ticket() | headers)

        assert answer.status_code == status
        if status == 403:
            assert answer.json()["code"] == "cross_site"


async def test_allowed_origin_without_a_ticket_stays_cross_site(keyless: Service) -> None:
    headers = {"origin": SHOP, "sec-fetch-site": "cross-site"}

    assert (await send(keyless, headers)).status_code == 403
    async with keyless.client(headers) as client:
        assert (await client.post("/images/tickets", json={})).status_code == 403
        assert (await client.delete("/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")).status_code == 403
