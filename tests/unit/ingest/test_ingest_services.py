"""The end of a process of ingest: what breaks or cancels one step skips no other."""

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest

from ingest.ingest_services import IngestServices, build_ingest_services
from proxy.settings import Settings


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
