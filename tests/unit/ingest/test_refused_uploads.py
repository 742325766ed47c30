"""An upload that is refused, breaks off or meets a failure: it says why, and nothing of it is left anywhere."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from threading import Event

import anyio
import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.cdn import NoCdn
from ingest.uploads import Uploads
from proxy.derivation.service import Derivations
from proxy.errors import (
    CatalogUnavailable,
    Malformed,
    MissingImage,
    Refused,
    RenderFailed,
    StoreUnavailable,
    TooHeavy,
    TooLarge,
    TooManyPixels,
    TooSmall,
    Unavailable,
    Undecodable,
    UnsupportedFormat,
    UploadTimeout,
)
from proxy.imaging.pool import RenderPool
from proxy.storage.disk import DiskStore
from proxy.telemetry import Metrics
from tests import pictures
from tests.fakes import CountingStore, Gate, sample
from tests.unit.ingest.bodies import Pieces, chunks_of
from tests.unit.ingest.examples import SIZES, picture
from tests.unit.ingest.fakes import RecordingQueue
from tests.unit.ingest.leftovers import files_below, rows
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import reached

pytestmark = pytest.mark.asyncio(loop_scope="module")

JPEG = picture()
REFUSED: dict[str, tuple[bytes, type[Refused]]] = {
    "nothing": (b"", MissingImage),
    "one byte": (b"\xff", UnsupportedFormat),
    "a GIF": (b"GIF89a" + bytes(1000), UnsupportedFormat),
    "a page": (b"<!doctype html><title>no picture</title>", UnsupportedFormat),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', UnsupportedFormat),
    "a RIFF that is sound": (b"RIFF\x24\0\0\0WAVEfmt ", UnsupportedFormat),
    "a JPEG behind a space": (b" " + JPEG, UnsupportedFormat),
    "too low": (picture(100, 99), TooSmall),
    "too narrow": (picture(99, 100, "png"), TooSmall),
    "too wide": (picture(1001, 100), TooManyPixels),
    "too high": (picture(100, 1001, "webp"), TooManyPixels),
    "a bomb": (pictures.png_header(100_000, 100_000) + pictures.chunk(b"IDAT", bytes(100)), TooManyPixels),
    "half a JPEG": (JPEG[: len(JPEG) // 2], Undecodable),
    "half a PNG": (picture(format="png")[:-200], Undecodable),
    "half a WebP": (picture(format="webp")[:-100], Undecodable),
    "a signature alone": (b"\xff\xd8\xff", Undecodable),
    "a PNG's header alone": (pictures.png_header(200, 200), Undecodable),
    "noise behind a signature": (b"\xff\xd8\xff\xe0" + bytes(5000), Undecodable),
}


@pytest_asyncio.fixture(loop_scope="module")
async def assert_nothing_left(
    store: CountingStore, database: Database, queue: RecordingQueue, temporary: Path
) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        assert await store.keys() == []
        assert await rows(database) == (0, 0)
        assert files_below(temporary) == []
        assert queue.published == []

    return check


class SlowDisk(DiskStore):
    """Waits before a finished file gets its name: where a power cut, or a cancellation, has most time to come."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writing, self.go_on, self.written = Event(), Event(), Event()

    def _publish(self, incoming: Path, path: Path, *, if_absent: bool) -> None:
        self.writing.set()
        self.go_on.wait(10)
        super()._publish(incoming, path, if_absent=if_absent)
        self.written.set()


Check = Callable[[], Awaitable[None]]


class TestPictures:
    @pytest.mark.parametrize(("file", "kind"), REFUSED.values(), ids=REFUSED)
    async def test_one_that_is_not_taken_leaves_nothing(
        self, uploads: Uploads, metrics: Metrics, assert_nothing_left: Check, file: bytes, kind: type[Refused]
    ) -> None:
        with pytest.raises(kind) as caught:
            await uploads.receive(chunks_of(file, 400))

        assert type(caught.value) is kind
        assert str(caught.value) != kind.title
        assert sample(metrics, "darkroom_uploads_total", outcome=kind.code) == 1
        await assert_nothing_left()

    async def test_what_is_no_picture_is_refused_by_its_first_bytes_and_never_written_down(
        self, uploads: Uploads, repository: WatchedRepository, store: CountingStore
    ) -> None:
        body = Pieces([b"GIF89a", b"123456", *[bytes(1000)] * 100])

        with pytest.raises(UnsupportedFormat):
            await uploads.receive(aiter(body))

        assert body.taken == 2
        assert ("begin" in {method for method, _ in repository.calls}) is False
        assert store.count("put") == 0

    async def test_one_that_cannot_be_decoded_is_never_stored(self, uploads: Uploads, store: CountingStore) -> None:
        with pytest.raises(Undecodable):
            await uploads.receive(chunks_of(JPEG[:-500]))

        assert store.count("put") == 0

    async def test_one_that_could_be_looked_at_but_never_derived_is_not_taken(
        self,
        *,
        uploads: Uploads,
        pool: RenderPool,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        assert_nothing_left: Check,
    ) -> None:
        path = anyio.Path(tmp_path / "looked-at.jpg")
        await path.write_bytes(JPEG)
        monkeypatch.setattr(pool, "_most", await pool.cost(Path(path)))

        with pytest.raises(TooHeavy):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()


class TestBreakingOff:
    @pytest.mark.parametrize("error", [Malformed("m"), TooLarge("l"), UploadTimeout("t"), MissingImage("i")])
    @pytest.mark.parametrize("pieces", [0, 1, 3])
    async def test_what_the_source_raises_goes_through(
        self, uploads: Uploads, metrics: Metrics, assert_nothing_left: Check, error: Refused, pieces: int
    ) -> None:
        body = Pieces([JPEG[:12], JPEG[12:700], JPEG[700:1000]][:pieces], error)

        with pytest.raises(type(error)) as caught:
            await uploads.receive(aiter(body))

        assert caught.value is error
        assert sample(metrics, "darkroom_uploads_total", outcome=error.code) == 1
        await assert_nothing_left()

    async def test_a_defect_in_the_source_leaves_nothing_either(
        self, uploads: Uploads, metrics: Metrics, assert_nothing_left: Check
    ) -> None:
        with pytest.raises(KeyError):
            await uploads.receive(aiter(Pieces([JPEG[:500]], KeyError("a defect"))))

        assert sample(metrics, "darkroom_uploads_total", outcome="aborted") == 1
        await assert_nothing_left()

    async def test_cancelled_while_it_comes(
        self, uploads: Uploads, database: Database, metrics: Metrics, assert_nothing_left: Check
    ) -> None:
        more = Gate()

        async def half() -> AsyncIterator[bytes]:
            yield JPEG[:500]
            await more.wait()

        await self.cancel_at(more, uploads, half())

        assert sample(metrics, "darkroom_uploads_total", outcome="aborted") == 1
        await assert_nothing_left()

    @pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
    async def test_cancelled_while_it_is_stored(
        self, uploads: Uploads, store: CountingStore, assert_nothing_left: Check, done: bool
    ) -> None:
        await self.cancel_at(store.hold("put", done=done), uploads, chunks_of(JPEG))

        await assert_nothing_left()

    @pytest.mark.parametrize("method", ["begin", "accept"])
    async def test_cancelled_while_it_is_written_down(
        self, uploads: Uploads, repository: WatchedRepository, assert_nothing_left: Check, method: str
    ) -> None:
        await self.cancel_at(repository.hold(method), uploads, chunks_of(JPEG))

        await assert_nothing_left()

    async def test_cancelled_while_a_thread_writes_it_to_the_disk(
        self, pool: RenderPool, repository: WatchedRepository, derivations: Derivations, tmp_path: Path
    ) -> None:
        """A thread cannot be cancelled: what it writes after the undoing is nobody's."""
        disk = SlowDisk(tmp_path / "objects")
        uploads = Uploads(
            store=disk,
            pool=pool,
            repository=repository,
            queue=RecordingQueue(),
            cdn=NoCdn(),
            derivations=derivations,
            sizes=SIZES,
            metrics=Metrics(),
            temporary=tmp_path / "tmp",
        )
        upload = asyncio.create_task(uploads.receive(chunks_of(JPEG)))
        await asyncio.to_thread(disk.writing.wait, 10)

        upload.cancel()
        await asyncio.wait([upload], timeout=0.5)  # until it ends, or for long enough to have undone all it knows of
        disk.go_on.set()
        await asyncio.gather(upload, return_exceptions=True)
        await asyncio.to_thread(disk.written.wait, 10)

        assert [info.key async for info in disk.list("originals/")] == []

    async def cancel_at(self, gate: Gate, uploads: Uploads, body: AsyncIterator[bytes]) -> None:
        upload = asyncio.create_task(uploads.receive(body))
        await reached(gate, upload)
        upload.cancel()
        asyncio.get_running_loop().call_later(0.05, gate.open)  # what was begun when it was cancelled ends after that
        with pytest.raises(asyncio.CancelledError):
            await upload


class TestFailures:
    async def test_the_store_is_away(
        self, uploads: Uploads, store: CountingStore, metrics: Metrics, assert_nothing_left: Check
    ) -> None:
        store.fail("put")

        with pytest.raises(StoreUnavailable):
            await uploads.receive(chunks_of(JPEG))

        assert sample(metrics, "darkroom_uploads_total", outcome="store_unavailable") == 1
        await assert_nothing_left()

    async def test_the_store_stays_away(
        self, uploads: Uploads, store: CountingStore, assert_nothing_left: Check
    ) -> None:
        store.fail("put", 100)
        store.fail("delete", 100)

        with pytest.raises(StoreUnavailable):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()

    @pytest.mark.parametrize("method", ["begin", "accept"])
    async def test_the_database_fails_once(
        self, uploads: Uploads, repository: WatchedRepository, assert_nothing_left: Check, method: str
    ) -> None:
        repository.fail(method, 1)

        with pytest.raises(CatalogUnavailable):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()

    async def test_the_database_is_away_from_the_beginning(
        self, uploads: Uploads, repository: WatchedRepository, assert_nothing_left: Check
    ) -> None:
        for method in ("begin", "accept", "delete"):
            repository.fail(method)

        with pytest.raises(CatalogUnavailable):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()

    async def test_a_row_that_cannot_be_taken_back_keeps_its_original(
        self, uploads: Uploads, repository: WatchedRepository, store: CountingStore, temporary: Path
    ) -> None:
        """Whether the row was committed is not known then, and a row without its original is a broken promise."""
        repository.fail("accept")
        repository.fail("delete")

        with pytest.raises(CatalogUnavailable):
            await uploads.receive(chunks_of(JPEG))

        [(_, upload_id), *_] = repository.calls
        assert await store.keys() == [f"originals/{upload_id}"]
        assert files_below(temporary) == []

    async def test_a_file_in_place_of_the_temporary_folder(
        self, uploads: Uploads, store: CountingStore, database: Database, temporary: Path
    ) -> None:
        await anyio.Path(temporary).write_bytes(b"")

        with pytest.raises(Unavailable, match="no room") as caught:
            await uploads.receive(chunks_of(JPEG))

        assert type(caught.value) is Unavailable
        assert await store.keys() == []
        assert await rows(database) == (0, 0)

    async def test_a_render_process_that_dies(
        self, uploads: Uploads, pool: RenderPool, assert_nothing_left: Check
    ) -> None:
        [process] = pool._idle
        receiving = asyncio.create_task(uploads.receive(chunks_of(JPEG)))
        while process in pool._idle:  # until it has the picture
            await asyncio.sleep(0)
        process.kill()

        with pytest.raises(RenderFailed):
            await receiving

        await assert_nothing_left()
