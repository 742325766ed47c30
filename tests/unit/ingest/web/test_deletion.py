"""DELETE of an upload."""

from dataclasses import replace

import httpx
import pytest

from ingest.jobs.deliver import deliver
from proxy.recipe import Recipes
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.problems import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestDelete:
    @pytest.mark.heavy
    async def test_delete_removes_everything(self, service: Service) -> None:
        before = await service.holdings()
        upload_id = (await service.upload(image_bytes())).json()["uploadId"]
        await deliver(service.ingest.warmup.run, upload_id)

        answer = await service.delete(f"/images/{upload_id}")

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert await service.holdings() == before
        for path in ("", "/status", "/events", "/small.jpg"):
            assert (await service.get(f"/images/{upload_id}{path}")).status_code == 404
        listed = (await service.get("/images?limit=100")).json()["images"]
        assert upload_id not in [document["uploadId"] for document in listed]

    async def test_second_delete_is_404(self, service: Service, created: dict[str, object]) -> None:
        await service.delete(f"/images/{created['uploadId']}")

        await assert_problem(service, "DELETE", f"/images/{created['uploadId']}", 404, "not_found")

    async def test_delete_in_store_outage_can_be_repeated(self, service: Service, created: dict[str, object]) -> None:
        path = f"/images/{created['uploadId']}"
        broken = with_store(service, store := CountingStore(service.ingest.proxy.store))
        store.fail("delete")

        exchange = await Exchange().run(broken.app, "DELETE", path)

        assert exchange.status == 503
        assert int(exchange.headers["retry-after"]) > 0
        assert (await service.get(path)).status_code == 200
        assert (await broken.delete(path)).status_code == 204


def with_store(service: Service, store: CountingStore) -> Service:
    """The same service with another store, for derivations too."""
    proxy = service.ingest.proxy
    variant_service = VariantService(
        store,
        proxy.pool,
        Recipes(proxy.settings),
        proxy.metrics,
        temporary=proxy.settings.temporary,
        timeout=5,
        memory_cache_bytes=0,
        missing_ttl=0.001,
    )
    return service.made_of(proxy=replace(proxy, store=store, variant_service=variant_service))


UNKNOWN_DELETION = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


async def request(service: Service, method: str, path: str) -> httpx.Response:
    async with service.client() as client:
        return await client.request(method, path)


async def test_deletion_by_owner_is_accepted_and_shown(service: Service) -> None:
    async with service.client() as client:
        await client.post("/images/upload", files={"image": image_bytes()}, data={"owner": "Zoë & co"})

    answer = await request(service, "DELETE", "/images?owner=Zo%C3%AB%20%26%20co")

    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == document["statusUrl"] == f"/images/deletions/{document['deletionId']}"
    assert (document["status"], document["progress"], document["total"]) == ("pending", 0, 1)
    assert (document["deleted"], document["failed"], document["error"]) == (0, 0, None)
    shown = await service.get(document["statusUrl"])
    assert (shown.status_code, shown.json()) == (200, document)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "malformed"),
        ("?owner=", "invalid_field"),
        ("?owner=a&owner=b", "malformed"),
        ("?Owner=a", "unknown_field"),
        ("?owner=a&limit=1", "unknown_field"),
        ("?externalId=a", "unknown_field"),
        ("?ids=8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "unknown_field"),
    ],
)
async def test_deletion_with_an_invalid_query_returns_400(service: Service, query: str, code: str) -> None:
    answer = await request(service, "DELETE", f"/images{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize("deletion_id", [UNKNOWN_DELETION, UNKNOWN_DELETION.upper(), "x"])
async def test_unknown_deletion_is_404(service: Service, deletion_id: str) -> None:
    answer = await service.get(f"/images/deletions/{deletion_id}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("scopes", "status"), [("delete", 202), ("admin", 202), ("upload+read", 403)])
async def test_deletion_by_owner_needs_the_scope_delete(service: Service, scopes: str, status: int) -> None:
    locked = service.configured(api_keys=(f"key:{scopes}:0123456789abcdef",))
    async with locked.client({"authorization": "Bearer 0123456789abcdef"}) as client:
        answer = await client.delete("/images?owner=nobody")

    assert answer.status_code == status
