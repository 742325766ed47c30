"""`GET /images/{uploadId}/original`."""

import pytest

from proxy.keys import original_key
from tests.unit.ingest.examples import picture
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


async def test_file_is_a_download_that_no_browser_renders(service: Service) -> None:
    file = picture()
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


async def test_store_with_temporary_urls_sends_it_itself(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id = (await service.upload(picture())).json()["uploadId"]
    asked = []

    async def temporary_url(*arguments: object) -> str:
        asked.append(arguments)
        return "https://bucket.example/signed"

    monkeypatch.setattr(service.ingest.proxy.store, "temporary_url", temporary_url)
    answer = await service.get(f"/images/{upload_id}/original")

    assert (answer.status_code, answer.headers["location"]) == (302, "https://bucket.example/signed")
    assert answer.headers["cache-control"] == "no-store"
    assert asked == [(original_key(upload_id), 300, f"{upload_id}.jpeg")]


@pytest.mark.parametrize("upload_id", [UNKNOWN, "no-id", f"{UNKNOWN}%2f..%2fx"])
async def test_unknown_upload_is_404(service: Service, upload_id: str) -> None:
    assert (await service.get(f"/images/{upload_id}/original")).status_code == 404


async def test_key_without_the_scope_read_is_refused(service: Service) -> None:
    locked = service.configured(api_keys="shop:upload+delete:0123456789abcdef")
    answer = await locked.get(f"/images/{UNKNOWN}/original", authorization="Bearer 0123456789abcdef")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
