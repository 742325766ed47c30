"""Uploads from the command line: what is stored is reported at once, whatever becomes of its warm-up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.jobs.warm_up import WarmUp
from ingest.maintenance import upload_files
from ingest.maintenance.upload_files import FileResult
from ingest.uploads import receive_with_retries
from ingest.uploads.upload_service import UploadService
from proxy.model import UploadId
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.settings import Settings
from tests.unit.ingest import tasks
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def settings(
    uploads: UploadService,
    warmup: WarmUp,
    repository: WatchedRepository,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Settings:
    """Settings whose services are the fixtures."""

    @asynccontextmanager
    async def services(settings: Settings, **_: Any) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(repository=repository, warmup=warmup, proxy=SimpleNamespace(settings=settings))

    monkeypatch.setattr(upload_files, "open_services", services)

    def build(_services: object, *, priority: Priority) -> UploadService:
        uploads._priority = priority
        return uploads

    monkeypatch.setattr(upload_files, "build_upload_service", build)
    return Settings(data_dir=tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    file = tmp_path / "photo.jpg"
    file.write_bytes(image_bytes())
    return str(file)


async def stored(repository: WatchedRepository) -> list[UploadId]:
    return [upload.upload_id for upload, _ in (await repository.newest(100)).uploads]


async def test_database_outage_during_the_warm_up_still_reports_the_upload_id(
    settings: Settings, repository: WatchedRepository, file: str
) -> None:
    results: list[FileResult] = []

    def report(result: FileResult) -> None:
        results.append(result)
        repository.fail("find")

    await upload_files.upload(settings, [file], report, wait=True)

    [upload_id] = await stored(repository)
    accepted, failed = results
    assert (accepted.document["uploadId"], accepted.document["status"], accepted.failure) == (
        upload_id,
        "pending",
        None,
    )
    assert upload_id in accepted.url
    assert (failed.document["uploadId"], failed.document["code"]) == (upload_id, "catalog_unavailable")
    assert failed.failure is not None
    assert failed.failure.startswith("It is stored, but its warm-up was not completed")


async def test_interrupted_warm_up_leaves_the_result_of_the_stored_file(
    settings: Settings, repository: WatchedRepository, file: str
) -> None:
    results: list[FileResult] = []
    gate = repository.hold("advance")
    work = asyncio.create_task(upload_files.upload(settings, [file], results.append, wait=True))
    await tasks.reached(gate, work)

    work.cancel()
    await asyncio.wait([work])

    assert work.cancelled()
    assert [result.document["uploadId"] for result in results] == await stored(repository)


async def test_refused_file_does_not_stop_the_others(
    settings: Settings, repository: WatchedRepository, file: str
) -> None:
    results: list[FileResult] = []

    await upload_files.upload(settings, ["gone.jpg", file], results.append, wait=False)

    assert [result.file for result in results] == ["gone.jpg", file]
    assert (results[0].document["code"], results[0].url) == ("missing_image", "")
    assert await stored(repository) == [results[1].document["uploadId"]]


async def test_file_is_uploaded_again_after_a_failure_that_passes(
    settings: Settings, repository: WatchedRepository, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive_with_retries, "_RETRIES", (0.01, 0.01))
    results: list[FileResult] = []
    repository.fail("accept", 2)

    await upload_files.upload(settings, [file], results.append, wait=False)
    repository.fail("accept", 3)
    await upload_files.upload(settings, [file], results.append, wait=False)

    assert results[0].document["uploadId"] == (await stored(repository))[0]
    assert [result.document.get("code") for result in results] == [None, "catalog_unavailable"]


async def test_file_waits_for_a_render_process_without_a_deadline(
    settings: Settings, pool: RenderPool, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.admission, "_max_wait", 0)
    results: list[FileResult] = []

    async with pool.acquire(Priority.LIVE, 1 << 20):  # the only one
        work = asyncio.create_task(upload_files.upload(settings, [file], results.append, wait=False))
        await asyncio.sleep(0.05)
        assert not work.done()
    await work

    assert results[0].failure is None
