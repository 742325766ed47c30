"""The health checks of ingest, and the server that answers them for a worker."""

import asyncio
import json
import logging
import socket

import httpx
import pytest

from ingest.web.readiness import serve_health
from proxy.telemetry import configure_logging
from proxy.web import health
from tests.server import free_port
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


async def answer(client: httpx.AsyncClient, path: str, key: str = "") -> httpx.Response:
    """The response of a server that may be starting."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await client.get(path, headers={"Authorization": f"Bearer {key}"} if key else {})
            except httpx.ConnectError:
                await asyncio.sleep(0.01)


class TestWorkersServer:
    async def test_health_is_open_and_metrics_need_the_key(self, service: Service) -> None:
        port = free_port()
        ingest = service.configured(api_keys=("k" * 32,)).ingest
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            async with serve_health(ingest, socket.create_server(("127.0.0.1", port))):
                healthy, ready = await answer(client, "/healthz"), await answer(client, "/readyz")
                refused, allowed = await answer(client, "/metrics"), await answer(client, "/metrics", "k" * 32)
                missing = await answer(client, "/images", "k" * 32)
            with pytest.raises(httpx.ConnectError):
                await client.get("/healthz")

        assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})
        assert ready.status_code == 200
        assert healthy.headers["x-content-type-options"] == "nosniff"
        assert "server" not in healthy.headers
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert "darkroom_jobs" in allowed.text
        assert missing.status_code == 404

    async def test_uvicorn_logs_as_configured(
        self, service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logger = logging.getLogger("uvicorn")
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        configure_logging("json", "info")
        port = free_port()
        async with (
            serve_health(service.ingest, socket.create_server(("127.0.0.1", port))),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            await answer(client, "/healthz")
            logging.getLogger("uvicorn.error").error("It failed.")

        [line] = capsys.readouterr().err.splitlines()
        assert json.loads(line).items() >= {"event": "It failed.", "library": "uvicorn.error"}.items()
