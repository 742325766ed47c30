"""Fixtures that check what an upload leaves."""

from pathlib import Path

import pytest_asyncio

from ingest.catalog.database import Database
from tests.fakes import CountingStore
from tests.unit.ingest.fakes import RecordingQueue
from tests.unit.ingest.leftovers import Check, files_below, rows


@pytest_asyncio.fixture(loop_scope="session")
async def assert_nothing_left(
    store: CountingStore, database: Database, queue: RecordingQueue, temporary: Path
) -> Check:
    async def check() -> None:
        assert await store.keys() == []
        assert await rows(database) == (0, 0)
        assert files_below(temporary) == []
        assert queue.published == []

    return check
