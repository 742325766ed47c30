"""The end of a process of ingest: what breaks or cancels one step skips no other."""

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import SecretStr

from ingest import ingest_services
from ingest.ingest_errors import InstallationMismatch
from ingest.ingest_services import IngestServices, build_ingest_services, check_redis
from ingest.records import Webhook
from proxy.settings import Settings
from tests.waiting import GUARD


@pytest.fixture
def services(tmp_path: Path) -> IngestServices:
    return build_ingest_services(Settings(data_dir=tmp_path))


async def test_queue_that_cannot_be_closed_does_not_keep_the_database_open(
    services: IngestServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    async def refuse() -> NoReturn:
        raise OSError("queue")

    async def close() -> None:
        closed.append("database")

    monkeypatch.setattr(services.queue, "close", refuse)
    monkeypatch.setattr(services.database, "close", close)

    with pytest.raises(OSError, match="queue"):
        async with services.connected():
            pass

    assert closed == ["database"]


async def test_cancellation_while_the_worker_ends_is_not_lost(
    services: IngestServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, ending = asyncio.Event(), asyncio.Event()

    async def run(_concurrency: int) -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.Event().wait()

    async def serve() -> None:
        async with services.working():
            await running.wait()

    monkeypatch.setattr(services.worker, "run", run)
    serving = asyncio.create_task(serve())
    await ending.wait()

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_webhooks_of_another_installation_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_services, "_RESTART_SECONDS", 0.01)
    secret = SecretStr("whsec_" + b64encode(bytes(32)).decode())
    settings = Settings(data_dir=tmp_path, webhook_url="https://shop.example/", webhook_secret=(secret,))
    services = build_ingest_services(settings)
    steps: list[str] = []
    verified, claimed = asyncio.Event(), asyncio.Event()

    async def verify() -> None:
        steps.append("verify")
        if len(steps) < 3:
            raise InstallationMismatch("another installation")
        verified.set()

    async def claim(_limit: int) -> list[Webhook]:
        assert verified.is_set()
        claimed.set()
        return []

    assert services.outbox
    monkeypatch.setattr(services.worker, "verify_installation", verify)
    monkeypatch.setattr(services.outbox, "claim", claim)
    async with asyncio.timeout(GUARD), services.sending_webhooks():
        await claimed.wait()

    assert steps == ["verify"] * 3
    await services.database.close()


async def test_unavailable_redis_is_only_logged_at_start(capsys: pytest.CaptureFixture[str]) -> None:
    await check_redis(Settings(redis_url=SecretStr("redis://:hunter2@127.0.0.1:9/0")))

    printed = capsys.readouterr().out
    assert "Redis unavailable, jobs delayed" in printed
    assert "REDIS_URL" in printed
    assert "hunter2" not in printed
