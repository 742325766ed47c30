"""DELETE of an upload."""

from dataclasses import replace

import pytest

from ingest.jobs.deliver import deliver
from proxy.recipe import Recipes
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import picture
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.problems import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestDelete:
    @pytest.mark.heavy
    async def test_delete_removes_everything(self, service: Service) -> None:
        before = await service.holdings()
        upload_id = (await service.upload(picture())).json()["uploadId"]
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
