"""`PATCH /images/{uploadId}`: changing the focus."""

import json
from typing import Any

import pytest

from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


async def patch(service: Service, upload_id: object, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    async with service.client(headers) as client:
        answer = await client.patch(f"/images/{upload_id}", content=body)
        return answer.status_code, answer.json()


async def test_focus_is_changed_removed_and_returned(service: Service, created: dict[str, object]) -> None:
    upload_id = created["uploadId"]
    for sent, focus in (("0.30,0.7", "0.3,0.7"), (None, None)):
        status, document = await patch(service, upload_id, json.dumps({"focus": sent}).encode())

        shown = (await service.get(f"/images/{upload_id}")).json()
        assert (status, document["focus"], document) == (200, focus, shown)


async def test_owner_external_id_and_metadata_are_changed_and_removed(
    service: Service, created: dict[str, object]
) -> None:
    path, given = created["uploadId"], {"owner": "Zoë", "externalId": "7", "metadata": {"a": [1.0]}, "focus": "0,1"}
    status, document = await patch(service, path, json.dumps(given).encode())
    assert (status, {name: document[name] for name in given}) == (200, given)

    status, document = await patch(service, path, b'{"owner": null, "metadata": {}}')

    given |= {"owner": None, "metadata": {}}
    assert (status, {name: document[name] for name in given}) == (200, given)
    assert (await service.get(f"/images/{path}")).json() == document


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"{}", "malformed"),
        (b"null", "malformed"),
        (b'["focus"]', "malformed"),
        (b'"focus"', "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 10_000, "malformed"),
        (b'{"focus": "0.3,0.7", "focus": "0.3,0.7"}', "malformed"),
        (b'{"focus": "0.3,0.7", "f\\u006fcus": null}', "malformed"),
        (b'{"focus": "1.5,0"}', "invalid_field"),
        (b'{"focus": [0.3, 0.7]}', "invalid_field"),
        (b'{"focus": ""}', "invalid_field"),
        (b'{"visibility": null}', "invalid_field"),
        (b'{"visibility": "secret"}', "invalid_field"),
        (b'{"visibility": ["private"]}', "invalid_field"),
        (b'{"focus": 0}', "invalid_field"),
        (b'{"owner": ""}', "invalid_field"),
        (b'{"owner": "a", "externalId": "\\n"}', "invalid_field"),
        (b'{"owner": "a", "metadata": []}', "invalid_field"),
        (b'{"owner": "a", "metadata": {"a": 1e999}}', "invalid_field"),
        (b'{"metadata": {"a": NaN}}', "malformed"),
        (b'{"metadata": {"a": 1, "a": 2}}', "malformed"),
        (b'{"focus": "0.3,0.7", "uploadId": "me"}', "unknown_field"),
        (b'{"Focus": "0.3,0.7"}', "unknown_field"),
    ],
)
async def test_wrong_change_is_refused_and_changes_nothing(
    service: Service, created: dict[str, object], body: bytes, code: str
) -> None:
    before = await service.holdings()

    status, document = await patch(service, created["uploadId"], body)

    assert (status, document["code"]) == (400, code)
    assert await service.holdings() == before
    assert (await service.get(f"/images/{created['uploadId']}")).json()["focus"] is None


async def test_unknown_field_names_the_fields_there_are(service: Service, created: dict[str, object]) -> None:
    _, document = await patch(service, created["uploadId"], b'{"fokus": "0,0"}')

    fields = "`focus`, `owner`, `externalId`, `metadata`, `visibility`"
    assert document["detail"] == f"There is no field `fokus`. The fields are {fields}."


async def test_changed_visibility_changes_the_urls(service: Service, created: dict[str, object]) -> None:
    """Back and forth. The ready element would lack a token."""
    signing = service.configured(signing_keys="k" * 32)
    for visibility, prefix in (("private", "/private/"), ("public", "/images/")):
        status, document = await patch(signing, created["uploadId"], json.dumps({"visibility": visibility}).encode())

        assert (status, document["visibility"]) == (200, visibility)
        urls = [url for formats in document["urls"].values() for url in formats.values()]
        assert {url.startswith(f"{prefix}{created['uploadId']}/") for url in urls} == {True}
        assert (document["picture"] is None) is (visibility == "private")


@pytest.mark.parametrize("upload_id", [UNKNOWN, "no-id", UNKNOWN.upper()])
async def test_unknown_upload_is_404(service: Service, upload_id: str) -> None:
    status, document = await patch(service, upload_id, b'{"focus": null}')

    assert (status, document["code"]) == (404, "not_found")


async def test_endless_body_is_refused_early(service: Service, created: dict[str, object]) -> None:
    exchange = await Exchange([b" " * 1024] * 4000).run(service.app, "PATCH", f"/images/{created['uploadId']}")

    assert exchange.status == 413
    assert json.loads(exchange.answer)["code"] == "too_large"
    assert exchange.received_before_answer <= 17 + 1


@pytest.mark.parametrize(("size", "status"), [(16 * 1024, 200), (16 * 1024 + 1, 413)])
async def test_change_of_more_than_16_kib_is_too_large(
    service: Service, created: dict[str, object], size: int, status: int
) -> None:
    assert (await patch(service, created["uploadId"], b'{"focus": null}'.ljust(size)))[0] == status


async def test_broken_off_change_is_refused_without_speaking_of_an_image(
    service: Service, created: dict[str, object]
) -> None:
    exchange = Exchange([b'{"focus": '], ends=False, hangs_up=True)

    await exchange.run(service.app, "PATCH", f"/images/{created['uploadId']}")

    document = json.loads(exchange.answer)
    assert (document["code"], document["title"]) == ("aborted", "The request was interrupted")
    assert document["detail"] == "The connection closed before the whole body had arrived."


@pytest.mark.parametrize(
    ("scopes", "status"), [("upload+read", 200), ("admin", 200), ("upload", 403), ("read", 403), ("delete", 403)]
)
async def test_change_needs_the_scopes_upload_and_read(
    service: Service, created: dict[str, object], scopes: str, status: int
) -> None:
    secret = "0123456789abcdef"
    locked = service.configured(api_keys=(f"key:{scopes}:{secret}",))

    answer = await patch(locked, created["uploadId"], b'{"focus": null}', authorization=f"Bearer {secret}")

    assert answer[0] == status


async def test_page_of_another_site_cannot_change(service: Service, created: dict[str, object]) -> None:
    headers = {"sec-fetch-site": "cross-site"}

    status, document = await patch(service, created["uploadId"], b'{"focus": "0,0"}', **headers)

    assert (status, document["code"]) == (403, "cross_site")
