"""`Idempotency-Key`: a repeated upload gets the first response and creates no second upload."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from ingest.catalog.tables import upload_jobs
from ingest.idempotency_key import LIFETIME
from tests.unit.ingest.bodies import MULTIPART, part, upload_body
from tests.unit.ingest.examples import image_bytes, now
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import reached
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "idempotency-key"
SECRET, OTHER = "0123456789abcdef", "fedcba9876543210"  # of API keys


async def send(service: Service, key: str, file: bytes | None = None, **headers: str) -> httpx.Response:
    return await service.upload(image_bytes() if file is None else file, **{KEY: key} | headers)


async def exchange(service: Service, key: str, body: bytes, **headers: str) -> Exchange:
    sent = {"content_type": MULTIPART, "idempotency_key": key} | headers
    return await Exchange([body]).run(service.app, "POST", "/images/upload", **sent)


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    return document


async def test_repeat_gets_the_first_response_and_stores_nothing(service: Service) -> None:
    first = await send(service, "again")
    before = await service.holdings()

    for _ in range(2):
        second = await send(service, "again")

        assert second.status_code == 201
        assert second.json() == first.json()
        assert second.headers["location"] == first.headers["location"]
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["cache-control"] == "no-store"
    assert "idempotent-replayed" not in first.headers
    assert await service.holdings() == before


async def test_other_boundary_and_file_name_are_a_repeat(service: Service) -> None:
    first = await send(service, "boundary")
    body = part('name="focus"') + upload_body(image_bytes()).replace(b"photo.jpg", b"another.png")

    second = await exchange(service, "boundary", body)

    assert json.loads(second.answer) == first.json()


async def test_warm_up_progress_does_not_change_the_response(service: Service) -> None:
    first = await send(service, "warm")
    upload_id = first.json()["uploadId"]
    async with service.ingest.database.transaction() as connection:
        await connection.execute(
            update(upload_jobs).where(upload_jobs.c.upload_id == upload_id).values(status="complete", progress=100)
        )

    assert (await send(service, "warm")).json() == first.json()


async def test_repeat_gets_the_fields_as_sent_and_the_urls_as_they_are(service: Service) -> None:
    async with service.configured(signing_keys="k" * 32).client({KEY: "fields"}) as client:
        sent = {"files": {"image": image_bytes()}, "data": {"owner": "Ida", "externalId": "7", "focus": "0.3,0.7"}}
        first = (await client.post("/images/upload", **sent)).json()
        changes = {"owner": "Zoë", "externalId": None, "metadata": {"a": 1}, "focus": None, "visibility": "private"}
        changed = (await client.patch(f"/images/{first['uploadId']}", json=changes)).json()
        again = (await client.post("/images/upload", **sent)).json()

    assert changed["urls"] != first["urls"]
    assert again == first | {"visibility": "private", "urls": changed["urls"]}


async def test_same_image_without_key_is_another_upload(service: Service) -> None:
    ids = {(await service.upload(image_bytes())).json()["uploadId"] for _ in range(2)}

    assert len(ids) == 2


async def test_other_bytes_with_the_same_key_are_refused(service: Service) -> None:
    await send(service, "reused")
    before = await service.holdings()

    document = assert_problem(await send(service, "reused", image_bytes(130, 130)), 422, "key_reused")

    assert "reused" not in document["detail"]
    assert await service.holdings() == before


@pytest.mark.parametrize(
    ("file", "status", "code"),
    [(b"", 422, "key_reused"), (b"GIF89a" + bytes(100), 422, "key_reused"), (bytes((1 << 20) + 1), 413, "too_large")],
)
async def test_invalid_repeat_is_refused_like_a_first_upload(
    service: Service, file: bytes, status: int, code: str
) -> None:
    await send(service, "bounded")

    assert_problem(await send(service, "bounded", file), status, code)


async def test_malformed_repeat_is_refused(service: Service) -> None:
    await send(service, "broken")

    again = await exchange(service, "broken", upload_body(image_bytes())[:-10])

    assert (again.status, json.loads(again.answer)["code"]) == (400, "malformed")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "caf\xe9"])
async def test_invalid_key_is_refused(service: Service, key: str) -> None:
    before = await service.holdings()

    again = await exchange(service, key, upload_body(image_bytes()))

    assert (again.status, json.loads(again.answer)["code"]) == (400, "malformed")
    assert "Idempotency-Key" in json.loads(again.answer)["detail"]
    assert await service.holdings() == before


@pytest.mark.parametrize("refused", [image_bytes(99, 300), image_bytes()[:-600], b"GIF89a" + bytes(100), b""])
async def test_refused_attempt_frees_its_key(service: Service, refused: bytes) -> None:
    assert (await send(service, "refused", refused)).status_code in (400, 422)

    taken = await send(service, "refused")

    assert taken.status_code == 201
    assert "idempotent-replayed" not in taken.headers
    await service.delete(f"/images/{taken.json()['uploadId']}")


async def test_interrupted_attempt_frees_its_key(service: Service) -> None:
    headers = {"content_type": MULTIPART, "idempotency_key": "broke off"[:5]}
    half = Exchange([upload_body(image_bytes())[:600]], ends=False, hangs_up=True)
    assert (await half.run(service.app, "POST", "/images/upload", **headers)).status == 400

    assert (await send(service, "broke")).status_code == 201


async def test_repeat_during_the_first_is_409(service: Service) -> None:
    repository = WatchedRepository(service.ingest.database)
    gate = repository.hold("accept")
    slow = service.made_of(repository=repository)
    first = asyncio.create_task(send(slow, "slow"))
    await reached(gate, first)

    for file in (image_bytes(), image_bytes(130, 130)):
        waiting = await exchange(service, "slow", upload_body(file))
        assert (waiting.status, json.loads(waiting.answer)["code"]) == (409, "in_progress")
        assert int(waiting.headers["retry-after"]) > 0
        assert waiting.received_before_answer == 0

    gate.open()
    taken = await first
    assert (await send(service, "slow")).json() == taken.json()


@pytest.mark.heavy
async def test_concurrent_uploads_with_one_key_store_one(service: Service) -> None:
    before = (await service.holdings())[2]

    answers = await asyncio.gather(*(send(service, "many") for _ in range(8)))

    taken = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["uploadId"] for answer in taken}) == 1
    jobs, images = (await service.holdings())[2]
    assert (jobs, images) == (before[0] + 1, before[1] + 1)


async def test_keys_survive_the_rotation_of_the_api_key(service: Service) -> None:
    before = service.configured(api_keys=(f"shop:upload:{SECRET}",))
    during = service.configured(api_keys=(f"shop:upload:{OTHER}", f"shop:upload:{SECRET}"))

    first = await send(before, "rotated", authorization=f"Bearer {SECRET}")
    second = await send(during, "rotated", authorization=f"Bearer {OTHER}")

    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first.json()


async def test_keys_are_per_caller(service: Service) -> None:
    locked = service.configured(api_keys=(f"one:admin:{SECRET}", f"two:admin:{OTHER}"))

    answers = [await send(locked, "shared", authorization=f"Bearer {key}") for key in (SECRET, OTHER, SECRET)]

    ids = [answer.json()["uploadId"] for answer in answers]
    assert ids[0] == ids[2]
    assert ids[0] != ids[1]


async def test_key_of_deleted_upload_is_free(service: Service) -> None:
    first = (await send(service, "deleted")).json()["uploadId"]
    await service.delete(f"/images/{first}")

    second = await send(service, "deleted")

    assert second.status_code == 201
    assert second.json()["uploadId"] != first
    assert "idempotent-replayed" not in second.headers


async def test_key_is_free_after_a_day(service: Service) -> None:
    first = (await send(service, "yesterday")).json()["uploadId"]
    async with service.ingest.database.transaction() as connection:
        await connection.execute(
            update(upload_jobs)
            .where(upload_jobs.c.upload_id == first)
            .values(created_at=now() - LIFETIME - timedelta(seconds=1))
        )

    second = await send(service, "yesterday", image_bytes(130, 130))

    assert second.status_code == 201
    assert second.json()["uploadId"] != first


async def test_key_is_never_stored_in_clear(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "a-key-that-may-be-somebodys-order-number"
    upload_id = (await send(service, secret)).json()["uploadId"]
    await send(service, secret, image_bytes(130, 130))

    async with service.ingest.database.transaction() as connection:
        [row] = await connection.execute(select(upload_jobs).where(upload_jobs.c.upload_id == upload_id))
    assert secret not in str(tuple(row))
    assert secret not in "".join(capsys.readouterr())
    assert secret not in (await service.get("/metrics")).text


async def test_repeats_are_counted(service: Service) -> None:
    for file in (image_bytes(), image_bytes(), image_bytes(130, 130)):
        await send(service, "counted", file)

    metrics = (await service.get("/metrics")).text

    assert 'darkroom_uploads_total{outcome="repeated"}' in metrics
    assert 'darkroom_uploads_total{outcome="key_reused"}' in metrics


async def test_same_image_with_another_focus_is_no_repeat(service: Service) -> None:
    async with service.client({KEY: "with-a-focus"}) as client:
        answers = [
            await client.post("/images/upload", files={"image": image_bytes()}, data={"focus": focus})
            for focus in ("0.3,0.7", "0.30,0.70", "0.3,0.8")
        ]

    assert answers[0].status_code == answers[1].status_code == 201
    assert answers[0].json() == answers[1].json()
    assert_problem(answers[2], 422, "key_reused")


async def test_same_image_of_another_owner_is_no_repeat(service: Service) -> None:
    async with service.client({KEY: "with-an-owner"}) as client:
        answers = [
            await client.post("/images/upload", files={"image": image_bytes()}, data={"owner": owner})
            for owner in ("Ida", "Ida", "Zoë")
        ]

    assert [answer.status_code for answer in answers] == [201, 201, 422]
    assert answers[0].json() == answers[1].json()
