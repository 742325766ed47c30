"""A failure of the service during an upload leaves nothing behind."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from ingest.catalog.database import Database
from ingest.idempotency_key import ticket_key
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import Upload
from ingest.uploads.upload_service import UploadService
from proxy.errors import RenderFailed, StoreUnavailable, Unavailable
from proxy.rendering.pool import RenderPool
from proxy.telemetry import Metrics
from tests.fakes import CountingStore, sample
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.leftovers import Check, files_below, rows
from tests.unit.ingest.render_processes import idle_process
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")
JPEG = image_bytes()


class TestFailures:
    async def test_store_outage_leaves_nothing(
        self, uploads: UploadService, store: CountingStore, metrics: Metrics, assert_nothing_left: Check
    ) -> None:
        store.fail("put")

        with pytest.raises(StoreUnavailable):
            await uploads.receive(chunks_of(JPEG))

        assert sample(metrics, "darkroom_uploads_total", outcome="store_unavailable") == 1
        await assert_nothing_left()

    async def test_persistent_store_outage_leaves_nothing(
        self, uploads: UploadService, store: CountingStore, assert_nothing_left: Check
    ) -> None:
        store.fail("put", 100)
        store.fail("delete", 100)

        with pytest.raises(StoreUnavailable):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()

    @pytest.mark.parametrize("method", ["begin", "accept"])
    async def test_single_database_error_leaves_nothing(
        self, uploads: UploadService, repository: WatchedRepository, assert_nothing_left: Check, method: str
    ) -> None:
        repository.fail(method, 1)

        with pytest.raises(CatalogUnavailable):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()

    async def test_lost_answer_of_the_database_leaves_nothing_and_the_ticket_unused(
        self,
        uploads: UploadService,
        repository: WatchedRepository,
        assert_nothing_left: Check,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        accept = repository.accept

        async def accept_without_answer(upload: Upload, fingerprint: str | None = None) -> None:
            await accept(upload, fingerprint)
            raise CatalogUnavailable("the connection was lost after the commit")

        key = ticket_key("lost-answer", timedelta(minutes=2))
        with monkeypatch.context() as patch:
            patch.setattr(repository, "accept", accept_without_answer)
            with pytest.raises(CatalogUnavailable, match="after the commit"):
                await uploads.receive(chunks_of(JPEG), key)

        await assert_nothing_left()
        await uploads.receive(chunks_of(JPEG), key)

    async def test_database_outage_leaves_nothing(
        self, uploads: UploadService, repository: WatchedRepository, assert_nothing_left: Check
    ) -> None:
        for method in ("begin", "accept", "delete"):
            repository.fail(method)

        with pytest.raises(CatalogUnavailable):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()

    @pytest.mark.promise("B10")
    async def test_row_that_cannot_be_removed_keeps_its_original(
        self, uploads: UploadService, repository: WatchedRepository, store: CountingStore, temporary: Path
    ) -> None:
        """The row may have been committed, and a row must not be without original."""
        repository.fail("accept")
        repository.fail("delete")

        with pytest.raises(CatalogUnavailable):
            await uploads.receive(chunks_of(JPEG))

        [(_, upload_id), *_] = repository.calls
        assert await store.keys() == [f"originals/{upload_id}"]
        assert files_below(temporary) == []

    async def test_unwritable_temporary_folder_raises_unavailable(
        self, uploads: UploadService, store: CountingStore, database: Database, temporary: Path
    ) -> None:
        await anyio.Path(temporary).write_bytes(b"")

        with pytest.raises(Unavailable, match="cannot write") as caught:
            await uploads.receive(chunks_of(JPEG))

        assert type(caught.value) is Unavailable
        assert await store.keys() == []
        assert await rows(database) == (0, 0)

    @pytest.mark.promise("A14")
    async def test_dead_render_process_leaves_nothing(
        self, uploads: UploadService, pool: RenderPool, assert_nothing_left: Check
    ) -> None:
        process = await idle_process(pool)
        os.kill(process.pid, signal.SIGSTOP)  # it must not respond before it is killed
        receiving = asyncio.create_task(uploads.receive(chunks_of(JPEG)))
        while process in pool._idle:  # until it has received the image
            await asyncio.sleep(0)
        process.kill()

        with pytest.raises(RenderFailed):
            await receiving

        await assert_nothing_left()
