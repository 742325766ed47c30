"""Killed after any single step of an upload's life, and started again: nothing acknowledged is lost or incomplete."""

import asyncio
import shutil
from pathlib import Path

import pytest

from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.maintenance.garbage_collector import GarbageKind
from ingest.records import JobStatus, VariantState
from proxy.errors import UnknownUpload
from proxy.model import UploadId
from proxy.storage.disk import DiskStore
from tests.fakes import rendering_of
from tests.faults.garbage import collect
from tests.faults.steps import ORIGINAL, SIZES, Life, Steps, life, targets

NEVER = 10**9
FIELDS = b'{"owner": "Ida"}'
RIGHT = {rendering_of(ORIGINAL, target) for target in targets()}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The data folder with another upload in it: `gc` refuses an empty database with a full store
    as a wrong setting.
    """
    folder = tmp_path / "before" / "data"
    asyncio.run(prepare(folder))
    return folder


async def prepare(folder: Path) -> None:
    life = Life(folder, Steps(NEVER))
    await life.database.migrate()
    image = await life.uploads.receive(life.chunks())
    await life.warmup.run(Delivery(image.upload_id, exclusive=True))
    await life.database.close()


@pytest.mark.slow
@pytest.mark.promise("B10", "C10", "E11")
def test_process_killed_at_every_step_loses_nothing_acknowledged(before: Path, tmp_path: Path) -> None:
    others = asyncio.run(stored(before))
    lives = 0
    while True:
        lives += 1
        folder = tmp_path / f"life-{lives}" / "data"
        shutil.copytree(before, folder)
        ended = life(folder, lives)
        asyncio.run(judge(folder, others))
        if ended:
            break
        shutil.rmtree(folder)
    assert lives > 25, "too few steps for a whole life: something is not counted"


async def judge(folder: Path, others: dict[str, bytes]) -> None:
    """Acknowledged changes hold, stored bytes are correct, and after another start and `gc` nothing is left over."""
    acknowledged, warmed, deleted = (_noted(folder, name) for name in ("acknowledged", "warmed", "deleted"))
    objects = await stored(folder)
    assert others.items() <= objects.items()
    for key, body in objects.items():
        right = {"originals": {ORIGINAL}, "fields": {FIELDS}}.get(key.split("/", 1)[0], RIGHT)
        assert body in right

    again = Life(folder, Steps(NEVER))
    await again.repository.recover()
    known = [image.upload_id for image, _ in (await again.repository.newest(100)).uploads]
    uploads = [upload_id for upload_id in known if f"originals/{upload_id}" not in others]
    assert len(uploads) <= 1
    if acknowledged and not warmed:
        assert uploads == [acknowledged]
        assert f"originals/{acknowledged}" in objects
    while (pending := await again.repository.next_pending()) is not None:  # the worker of the next start
        status = await again.warmup.run(Delivery(pending, final_attempt=True))
        gone = f"originals/{pending}" not in objects
        assert status is (JobStatus.FAILED if gone else JobStatus.COMPLETE)
    if warmed and not deleted:  # the interrupted deletion can be repeated
        try:
            await again.uploads.delete(warmed)
        except UnknownUpload:
            assert uploads == []
    for image, job in (await again.repository.newest(100)).uploads:
        assert job.status is JobStatus.COMPLETE
        assert {variant.state for variant in image.variants.values()} == {VariantState.STORED}
    await again.database.close()

    assert {*await asyncio.to_thread(collect, folder.parent)} <= {GarbageKind.TEMPORARY, GarbageKind.INCOMPLETE_UPLOAD}
    left = {key: body for key, body in (await stored(folder)).items() if key not in others}
    # An upload that was killed before it was acknowledged: `gc` deletes no original, it moves it to the trash.
    trashed = {key: left.pop(key) for key in [*left] if key.startswith("trash/")}
    assert {*trashed.values()} <= {ORIGINAL}
    for key in trashed:
        assert left.pop(key.replace("trash/", "fields/")) == FIELDS
    assert not (trashed and acknowledged)
    if uploads and not warmed:  # acknowledged, or killed just before: complete
        [upload_id] = uploads
        variants = {f"images/{upload_id}/{variant.name}" for variant in SIZES.standard(alpha=False)}
        assert {*left} == {f"originals/{upload_id}", f"fields/{upload_id}", *variants}
        assert {body for key, body in left.items() if key.startswith("images/")} == RIGHT
    else:
        assert left == {}
    assert not _files(folder)


async def stored(folder: Path) -> dict[str, bytes]:
    store = DiskStore(folder / "objects")
    return {info.key: (await store.get(info.key)).body async for info in store.list("") if "/" in info.key}


def _files(folder: Path) -> list[Path]:
    """Returns the temporary files of uploads, derivations and objects."""
    return [*folder.glob("tmp/*"), *folder.glob("objects/.incoming/*")]


def _noted(folder: Path, what: str) -> UploadId | None:
    path = folder / what
    return UploadId(path.read_text()) if path.exists() else None
