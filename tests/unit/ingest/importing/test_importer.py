"""One source becomes one upload: repeated, interrupted, changed, deleted, and imported twice at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.importing import importer as importer_module
from ingest.importing.import_sources import Entry, LeftOut, Outcome, Source, SourceProblem, local_file
from ingest.importing.importer import Importer, Result
from ingest.ingest_errors import CatalogUnavailable
from ingest.uploads import receive_with_retries
from ingest.uploads.upload_service import UploadService
from proxy.errors import Overloaded
from proxy.model import UploadId
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.lease_store import LeaseStore, NoLeases
from tests.fakes import CountingStore
from tests.unit.ingest import tasks
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.fakes import RecordingQueue
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMPORTED, ALREADY, REFUSED, FAILED = Outcome.IMPORTED, Outcome.ALREADY, Outcome.REFUSED, Outcome.FAILED


class Scene:
    def __init__(
        self, uploads: UploadService, repository: WatchedRepository, store: CountingStore, folder: Path
    ) -> None:
        self.uploads = uploads
        self.repository = repository
        self.store = store
        self.folder = folder
        self.leases: LeaseStore = FileLeaseStore(folder / "locks")

    def source(self, body: bytes | None = None, name: str = "a.jpg", **fields: Any) -> Source:
        path = self.folder / name
        if body is not None:
            path.write_bytes(body)
        return Source(f"/photos/{name}", f"/photos/{name}", local_file(str(path)), fields, size=path.stat().st_size)

    def importer(self, **options: Any) -> Importer:
        return Importer(
            self.uploads, self.repository, options.pop("leases", self.leases), **{"max_bytes": 1 << 20} | options
        )

    async def run(self, source: Source, **options: Any) -> Result:
        return await self.importer(**options).handle(source)

    async def stored(self) -> list[UploadId]:
        return [upload.upload_id for upload, _ in (await self.repository.newest(100)).uploads]

    async def originals(self) -> int:
        return len([info async for info in self.store.list("originals/")])


@pytest.fixture
def scene(uploads: UploadService, repository: WatchedRepository, store: CountingStore, tmp_path: Path) -> Scene:
    (tmp_path / "photos").mkdir()
    return Scene(uploads, repository, store, tmp_path / "photos")


def of(result: Result) -> tuple[Outcome, str | None, str | None]:
    return result.outcome, result.upload_id, result.code


async def test_repeat_finds_the_upload_and_stores_nothing(scene: Scene, queue: RecordingQueue) -> None:
    source = scene.source(image_bytes(), owner="shop", externalId="x-1")

    first = await scene.run(source)
    again = await scene.run(source)

    [upload_id] = await scene.stored()
    assert of(first) == (IMPORTED, upload_id, None)
    assert of(again) == (ALREADY, upload_id, None)
    assert first.to_json() == {
        "source": "/photos/a.jpg",
        "outcome": "imported",
        "uploadId": upload_id,
        "externalId": "x-1",
    }
    upload, _ = await scene.repository.find(upload_id)
    assert (upload.owner, upload.external_id) == ("shop", "x-1")
    assert queue.published == [upload_id]
    assert await scene.originals() == 1


async def test_sources_are_looked_up_many_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer_module, "_BATCH", 2)
    sources = [scene.source(image_bytes(120 + i), f"{i}.jpg") for i in range(3)]
    first = await scene.run(sources[1])

    async def entries() -> AsyncIterator[Entry]:
        for source in sources:
            yield source

    found = [item async for item in scene.importer().look_up(entries())]

    assert [entry for entry, _ in found] == sources
    assert [known and known[0].upload_id for _, known in found] == [None, first.upload_id, None]
    assert [of(await scene.importer().handle(*item)) for item in found][1] == (ALREADY, first.upload_id, None)


async def test_changed_file_is_refused_and_names_the_upload(scene: Scene) -> None:
    first = await scene.run(scene.source(image_bytes()))
    same_size = bytearray(image_bytes())
    same_size[-10] ^= 1

    for changed in (image_bytes(130, 130), bytes(same_size)):
        result = await scene.run(scene.source(changed))
        assert of(result) == (REFUSED, first.upload_id, "source_changed")

    assert len(await scene.stored()) == 1
    skipped = await scene.run(scene.source(), skip_known=True)
    assert of(skipped) == (ALREADY, first.upload_id, None)


async def test_other_fields_are_refused_but_later_changes_of_the_upload_are_not(scene: Scene) -> None:
    first = await scene.run(scene.source(image_bytes(), owner="shop"))
    assert first.upload_id

    other = await scene.run(scene.source(owner="else"))
    await scene.repository.change_fields(UploadId(first.upload_id), {"owner": "else"})
    same = await scene.run(scene.source(owner="shop"))

    assert of(other) == (REFUSED, first.upload_id, "fields_changed")
    assert of(same) == (ALREADY, first.upload_id, None)


async def test_failed_import_of_a_deleted_upload_keeps_the_deletion(scene: Scene) -> None:
    first = await scene.run(scene.source(image_bytes()))
    assert first.upload_id
    await scene.uploads.delete(UploadId(first.upload_id))

    failed = await scene.run(scene.source(b"no image"), again=True)
    source = scene.source(image_bytes())
    later = await scene.run(source)

    assert of(failed) == (REFUSED, None, "unsupported_format")
    assert of(later) == (REFUSED, None, "source_deleted")
    assert await scene.stored() == []


async def test_deleted_upload_is_imported_again_only_on_demand(scene: Scene) -> None:
    source = scene.source(image_bytes())
    first = await scene.run(source)
    assert first.upload_id
    await scene.uploads.delete(UploadId(first.upload_id))

    refused = await scene.run(source)
    listed = await scene.run(source, again=True, dry_run=True)
    still_refused = await scene.run(source)
    second = await scene.run(source, again=True)
    third = await scene.run(source)

    assert of(refused) == of(still_refused) == (REFUSED, None, "source_deleted")
    assert "--again" in (refused.detail or "")
    assert of(listed) == (Outcome.NEW, None, None)
    assert second.outcome is IMPORTED
    assert second.upload_id != first.upload_id
    assert of(third) == (ALREADY, second.upload_id, None)
    assert await scene.stored() == [second.upload_id]


@pytest.mark.parametrize(
    ("body", "code"), [(b"not an image, but long enough", "unsupported_format"), (image_bytes(50, 50), "too_small")]
)
async def test_refused_image_leaves_nothing_and_may_be_corrected(scene: Scene, body: bytes, code: str) -> None:
    refused = await scene.run(scene.source(body))
    corrected = await scene.run(scene.source(image_bytes()))

    assert of(refused) == (REFUSED, None, code)
    assert corrected.outcome is IMPORTED
    assert await scene.stored() == [corrected.upload_id]


async def test_file_beyond_the_limit_is_refused(scene: Scene) -> None:
    assert of(await scene.run(scene.source(image_bytes()), max_bytes=100)) == (REFUSED, None, "too_large")


async def test_unreadable_file_fails(scene: Scene) -> None:
    source = scene.source(image_bytes())
    (scene.folder / "a.jpg").unlink()

    assert of(await scene.run(source)) == (FAILED, None, "unreadable")


async def test_left_out_entry_is_passed_on(scene: Scene) -> None:
    result = await scene.importer().handle(LeftOut(".git", Outcome.IGNORED, "hidden", "It is hidden.", 7))

    assert result.to_json() == {
        "source": ".git",
        "line": 7,
        "outcome": "ignored",
        "code": "hidden",
        "detail": "It is hidden.",
    }


@pytest.mark.parametrize("method", ["begin", "accept"])
async def test_database_outage_stops_and_a_repeat_continues(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(receive_with_retries, "_RETRIES", (0.01,))
    source = scene.source(image_bytes())
    scene.repository.fail(method, 2)

    with pytest.raises(CatalogUnavailable):
        await scene.run(source)
    result = await scene.run(source)

    assert result.outcome is IMPORTED
    assert await scene.stored() == [result.upload_id]
    assert await scene.originals() == 1


async def test_lack_of_capacity_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_with_retries, "_RETRIES", (0.01, 0.01))
    receive, failures = scene.uploads.receive, [Overloaded("full"), Overloaded("full")]

    async def full_at_first(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await receive(*arguments)

    monkeypatch.setattr(scene.uploads, "receive", full_at_first)

    assert (await scene.run(scene.source(image_bytes()))).outcome is IMPORTED

    failures[:] = [Overloaded("full")] * 3
    assert of(await scene.run(scene.source(image_bytes(), "b.jpg"))) == (FAILED, None, "overloaded")


async def test_attempt_that_was_killed_is_taken_over(scene: Scene) -> None:
    """As after SIGKILL: its rows stay, and the lease is free."""
    source = scene.source(image_bytes())
    gate = scene.repository.hold("accept")
    killed = asyncio.create_task(scene.run(source, leases=NoLeases()))
    await tasks.reached(gate, killed)
    scene.repository._gates.clear()

    second = await scene.run(source)

    assert second.outcome is IMPORTED
    assert await scene.stored() == [second.upload_id]
    gate.open()  # it was only slow: it loses, and finds what the other one has made
    first = await killed
    assert of(first) == (ALREADY, second.upload_id, None)
    assert await scene.stored() == [second.upload_id]
    assert await scene.originals() == 1


@pytest.mark.parametrize("leases", [True, False])
async def test_imports_at_the_same_moment_make_one_upload(
    scene: Scene, leases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer_module, "_POLL_SECONDS", 0.01)
    source = scene.source(image_bytes())
    options: Mapping[str, Any] = {} if leases else {"leases": NoLeases()}

    results = await asyncio.gather(*(scene.run(source, **options) for _ in range(4)))

    [upload_id] = await scene.stored()
    assert sorted(result.outcome for result in results) == [ALREADY, ALREADY, ALREADY, IMPORTED]
    assert {result.upload_id for result in results} == {upload_id}
    assert await scene.originals() == 1


async def test_dry_run_changes_nothing_and_opens_only_compared_sources(scene: Scene) -> None:
    known = scene.source(image_bytes())
    first = await scene.run(known)

    @asynccontextmanager
    async def opened() -> Any:
        raise SourceProblem("download_failed", "It was opened.")
        yield

    new = Source("https://example.com/b.jpg", "https://example.com/b.jpg", opened)
    before = len(scene.repository.calls)

    assert of(await scene.run(known, dry_run=True)) == (ALREADY, first.upload_id, None)
    assert of(await scene.run(new, dry_run=True)) == (Outcome.NEW, None, None)
    assert len(scene.repository.calls) == before
