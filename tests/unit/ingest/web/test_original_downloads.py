"""`GET /images/{uploadId}/original`."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from ingest.web import original_downloads
from proxy.keys import original_key
from tests.asgi import scope_of
from tests.fakes import Gate
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


async def test_file_is_a_download_that_no_browser_renders(service: Service) -> None:
    file = image_bytes()
    upload_id = (await service.upload(file)).json()["uploadId"]

    answer = await service.get(f"/images/{upload_id}/original")

    assert (answer.status_code, answer.content) == (200, file)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == f'attachment; filename="{upload_id}.jpeg"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "access-control-allow-origin" not in answer.headers
    assert [*service.ingest.proxy.settings.temporary.glob("original-*")] == []


def copies(service: Service) -> list[Any]:
    return [*service.ingest.proxy.settings.temporary.glob("original-*")]


@pytest.mark.parametrize("value", ["bytes=0-9", "bytes=9999999-", "bytes=5-1", "bytes=0-1,3-4", "bytes=x", "lines=1-2"])
async def test_range_is_ignored(service: Service, value: str) -> None:
    file = image_bytes()
    path = f"/images/{(await service.upload(file)).json()['uploadId']}/original"

    answer = await service.get(path, range=value)

    assert (answer.status_code, answer.content) == (200, file)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.keys().isdisjoint({"accept-ranges", "content-range", "etag", "last-modified"})
    assert copies(service) == []


async def test_head_has_the_headers_of_get_without_a_copy(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    file = image_bytes()
    path = f"/images/{(await service.upload(file)).json()['uploadId']}/original"
    got = await service.get(path)

    async def download(*_: object) -> None:
        raise AssertionError("the original was copied")

    monkeypatch.setattr(service.ingest.proxy.store, "download", download)
    async with service.client({"range": "bytes=0-9"}) as client:
        head = await client.head(path)

    assert (head.status_code, head.content) == (200, b"")
    own = {"x-request-id", "server-timing", "date"}
    assert {**head.headers} | dict.fromkeys(own) == {**got.headers} | dict.fromkeys(own)
    assert head.headers["content-length"] == f"{len(file)}"


async def test_more_than_the_allowed_copies_are_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original_downloads, "MAX_COPIES", 2)
    path = f"/images/{(await service.upload(image_bytes())).json()['uploadId']}/original"
    store, gates = service.ingest.proxy.store, [Gate(), Gate()]
    download, waiting = store.download, iter(gates)

    async def download_at_the_gate(*arguments: Any) -> Any:
        await next(waiting).wait()
        return await download(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store, "download", download_at_the_gate)
        first = [asyncio.create_task(service.get(path)) for _ in gates]
        for gate in gates:
            await gate.reached.wait()
        refused = await service.get(path)
        for gate in gates:
            gate.open()
        sent = await asyncio.gather(*first)

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "5")
    assert refused.json()["detail"] == "This server sends 2 originals already. Try again later."
    assert [answer.status_code for answer in sent] == [200, 200]
    assert (await service.get(path)).status_code == 200
    assert copies(service) == []


async def test_copy_is_removed_and_no_longer_counts_if_sending_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original_downloads, "MAX_COPIES", 1)
    path = f"/images/{(await service.upload(image_bytes())).json()['uploadId']}/original"

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        assert len(copies(service)) == 1
        if message["type"] == "http.response.body":
            raise OSError("the client is gone")

    await service.app(scope_of("GET", path, {}), receive, send)

    assert copies(service) == []
    assert (await service.get(path)).status_code == 200


async def test_original_that_is_missing_is_404_and_leaves_no_copy(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original_downloads, "MAX_COPIES", 1)
    upload_id = (await service.upload(image_bytes())).json()["uploadId"]
    await service.ingest.proxy.store.delete(original_key(upload_id))

    for _ in range(2):
        answer = await service.get(f"/images/{upload_id}/original")

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert copies(service) == []


async def test_store_with_temporary_urls_sends_a_redirect(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id = (await service.upload(image_bytes())).json()["uploadId"]
    asked = []

    async def temporary_url(*arguments: object) -> str:
        asked.append(arguments)
        return "https://bucket.example/signed"

    monkeypatch.setattr(service.ingest.proxy.store, "temporary_url", temporary_url)
    answer = await service.get(f"/images/{upload_id}/original")

    assert (answer.status_code, answer.headers["location"]) == (302, "https://bucket.example/signed")
    assert answer.headers["cache-control"] == "no-store"
    assert asked == [(original_key(upload_id), 300, f"{upload_id}.jpeg")]


async def test_head_is_answered_without_a_temporary_url(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    file = image_bytes()
    path = f"/images/{(await service.upload(file)).json()['uploadId']}/original"

    async def temporary_url(*_: object) -> str:
        raise AssertionError("a URL was signed")

    monkeypatch.setattr(service.ingest.proxy.store, "temporary_url", temporary_url)
    async with service.client({}) as client:
        head = await client.head(path)

    assert (head.status_code, head.headers["content-length"]) == (200, f"{len(file)}")
    assert "location" not in head.headers


@pytest.mark.parametrize("upload_id", [UNKNOWN, "no-id", f"{UNKNOWN}%2f..%2fx"])
async def test_unknown_upload_is_404(service: Service, upload_id: str) -> None:
    assert (await service.get(f"/images/{upload_id}/original")).status_code == 404


async def test_key_without_the_scope_read_is_refused(service: Service) -> None:
    locked = service.configured(api_keys="shop:upload+delete:0123456789abcdef")
    answer = await locked.get(f"/images/{UNKNOWN}/original", authorization="Bearer 0123456789abcdef")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
