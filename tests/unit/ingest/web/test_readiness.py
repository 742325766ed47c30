"""The health checks of ingest."""

import pytest

from proxy.web import health
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0)


class TestHealth:
    async def test_healthz_and_readyz_are_ok(self, service: Service) -> None:
        assert (await service.get("/healthz")).json() == {"status": "ok"}
        ready = await service.get("/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {"status": "ready", "checks": {"store": "ok", "database": "ok"}},
        )

    @pytest.mark.promise("E9")
    @pytest.mark.heavy
    async def test_readyz_without_tables_is_503(self, service: Service) -> None:
        database = service.ingest.database
        await database.migrate("base")
        try:
            answer = await service.get("/readyz")
        finally:
            await database.migrate()

        assert answer.status_code == 503
        assert answer.json()["checks"]["store"] == "ok"
        assert "darkroom migrate" in answer.json()["checks"]["database"]
