"""Uploads interrupted by the client or a cancellation leave nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from ingest.catalog.database import Database
from ingest.edge.cdn import Cdns
from ingest.idempotency_key import IdempotencyKey, ticket_key
from ingest.ingest_errors import Malformed, MissingImage, TooLarge, UploadTimeout
from ingest.uploads.upload_service import UploadService
from proxy.errors import Refused
from proxy.model import Visibility
from proxy.recipe import Recipes
from proxy.rendering.pool import RenderPool
from proxy.settings import Settings
from proxy.storage.disk import DiskStore
from proxy.telemetry import Metrics
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore, Gate, sample
from tests.unit.ingest.bodies import Pieces, chunks_of
from tests.unit.ingest.examples import SIZES, image_bytes
from tests.unit.ingest.fakes import RecordingQueue, VerifiedInstallation
from tests.unit.ingest.leftovers import Check
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import reached

pytestmark = pytest.mark.asyncio(loop_scope="session")
JPEG = image_bytes()


class SlowDisk(DiskStore):
    """Waits before renaming a finished file, where a cancellation is most likely."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writing, self.go_on, self.written = Event(), Event(), Event()

    def _publish(self, incoming: Path, path: Path, *, if_absent: bool) -> None:
        self.writing.set()
        self.go_on.wait(10)
        super()._publish(incoming, path, if_absent=if_absent)
        self.written.set()


class TestBreakingOff:
    @pytest.mark.parametrize("error", [Malformed("m"), TooLarge("l"), UploadTimeout("t"), MissingImage("i")])
    @pytest.mark.parametrize("pieces", [0, 1, 3])
    async def test_exceptions_of_the_source_propagate(
        self, uploads: UploadService, metrics: Metrics, assert_nothing_left: Check, error: Refused, pieces: int
    ) -> None:
        body = Pieces([JPEG[:12], JPEG[12:700], JPEG[700:1000]][:pieces], error)

        with pytest.raises(type(error)) as caught:
            await uploads.receive(aiter(body))

        assert caught.value is error
        assert sample(metrics, "darkroom_uploads_total", outcome=error.code) == 1
        await assert_nothing_left()

    async def test_unexpected_error_in_the_source_leaves_nothing(
        self, uploads: UploadService, metrics: Metrics, assert_nothing_left: Check
    ) -> None:
        with pytest.raises(KeyError):
            await uploads.receive(aiter(Pieces([JPEG[:500]], KeyError("a defect"))))

        assert sample(metrics, "darkroom_uploads_total", outcome="internal") == 1
        await assert_nothing_left()

    async def test_cancelled_while_receiving_leaves_nothing(
        self, uploads: UploadService, database: Database, metrics: Metrics, assert_nothing_left: Check
    ) -> None:
        more = Gate()

        async def half() -> AsyncIterator[bytes]:
            yield JPEG[:500]
            await more.wait()

        await self.cancel_at(more, uploads, half())

        assert sample(metrics, "darkroom_uploads_total", outcome="aborted") == 1
        await assert_nothing_left()

    @pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
    async def test_cancelled_while_storing_leaves_nothing(
        self, uploads: UploadService, store: CountingStore, assert_nothing_left: Check, done: bool
    ) -> None:
        await self.cancel_at(store.hold("put", done=done), uploads, chunks_of(JPEG))

        await assert_nothing_left()

    async def test_undo_during_an_outage_is_given_up_and_logged(
        self, uploads: UploadService, store: CountingStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.uploads.upload_service._COMPLETION_TIMEOUT", 0.1)
        store.hold("delete")  # and never opened

        with capture_logs() as logs:
            await self.cancel_at(store.hold("put"), uploads, chunks_of(JPEG))

        assert [(line["event"], line["error"]) for line in logs if line["log_level"] == "error"] == [
            ("upload clean-up failed, left to darkroom gc", "timeout")
        ]

    @pytest.mark.parametrize("method", ["begin", "accept"])
    async def test_cancelled_while_recording_leaves_nothing(
        self, uploads: UploadService, repository: WatchedRepository, assert_nothing_left: Check, method: str
    ) -> None:
        await self.cancel_at(repository.hold(method), uploads, chunks_of(JPEG))

        await assert_nothing_left()

    async def test_cancelled_while_recording_leaves_the_ticket_unused(
        self, uploads: UploadService, repository: WatchedRepository, assert_nothing_left: Check
    ) -> None:
        key = ticket_key("cancelled", timedelta(minutes=2))

        await self.cancel_at(gate := repository.hold("accept"), uploads, chunks_of(JPEG), key)

        await assert_nothing_left()
        gate.open()
        await uploads.receive(chunks_of(JPEG), key)

    @pytest.mark.heavy
    async def test_cancelled_while_writing_to_disk_leaves_nothing(
        self, pool: RenderPool, repository: WatchedRepository, variant_service: VariantService, tmp_path: Path
    ) -> None:
        """A thread cannot be cancelled: what it writes after the undo would be orphaned."""
        disk = SlowDisk(tmp_path / "objects")
        uploads = UploadService(
            store=disk,
            pool=pool,
            repository=repository,
            installation=VerifiedInstallation(),
            queue=RecordingQueue(),
            cdn=Cdns(),
            variant_service=variant_service,
            recipes=Recipes(Settings()),
            sizes=SIZES,
            accept=Settings.model_fields["accept"].default,
            default_visibility=Visibility.PUBLIC,
            metrics=Metrics(),
            temporary=tmp_path / "tmp",
        )
        upload = asyncio.create_task(uploads.receive(chunks_of(JPEG)))
        await asyncio.to_thread(disk.writing.wait, 10)

        upload.cancel()
        await asyncio.wait([upload], timeout=0.5)  # until it ends, or long enough to have undone everything
        disk.go_on.set()
        await asyncio.gather(upload, return_exceptions=True)
        await asyncio.to_thread(disk.written.wait, 10)

        assert [info.key async for info in disk.list("originals/")] == []

    async def cancel_at(
        self, gate: Gate, uploads: UploadService, body: AsyncIterator[bytes], key: IdempotencyKey | None = None
    ) -> None:
        upload = asyncio.create_task(uploads.receive(body, key))
        await reached(gate, upload)
        upload.cancel()
        asyncio.get_running_loop().call_later(0.05, gate.open)  # the running write ends after the cancellation
        with pytest.raises(asyncio.CancelledError):
            await upload
