"""Accepted uploads: what is stored, recorded and visible meanwhile."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import AsyncMock

import numpy as np
import PIL.Image
import pytest
from structlog.contextvars import bound_contextvars

from ingest.catalog.database import Database
from ingest.records import Job, JobStatus, TraceContext, VariantState, WarmedVariant
from ingest.uploads.upload_service import UploadService
from proxy.errors import UnknownUpload, UnsupportedFormat
from proxy.keys import original_key
from proxy.model import UploadId, parse_upload_id
from proxy.telemetry import Metrics
from tests import pictures
from tests.camera import oriented
from tests.fakes import CountingStore, sample
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.fakes import RecordingQueue, queue_away
from tests.unit.ingest.leftovers import files_below, rows
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPAQUE = PIL.Image.linear_gradient("L").resize((120, 110)).convert("RGB")
WITH_A_HOLE = OPAQUE.convert("RGBA")
WITH_A_HOLE.paste((0, 0, 0, 0), (10, 10, 12, 12))


async def test_time_of_acceptance_is_by_the_clock_of_the_database(
    uploads: UploadService, repository: WatchedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr("ingest.catalog.repository.now", AsyncMock(return_value=tomorrow))

    upload = await uploads.receive(chunks_of(image_bytes()))

    assert tomorrow < upload.created_at < tomorrow + timedelta(hours=1)
    found, job = await repository.find(upload.upload_id)
    assert found.created_at == job.created_at == job.updated_at == upload.created_at


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
async def test_original_is_stored_unchanged_with_its_real_type(
    uploads: UploadService, store: CountingStore, format: str
) -> None:
    file = image_bytes(format=format)

    upload = await uploads.receive(chunks_of(file, 1000))

    stored = await store.inner.get(original_key(upload.upload_id))
    assert stored.body == file
    assert stored.info.content_type == f"image/{format}"
    assert await store.keys() == [f"originals/{upload.upload_id}"]
    assert stored.info.metadata == {
        "sha256": hashlib.sha256(file).hexdigest(),
        "width": str(upload.width),
        "height": str(upload.height),
        "alpha": "0",
        "animated": "0",
        "created": upload.created_at.isoformat(),
        "thumbhash": upload.thumbhash,
        "color": upload.color,
    }


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
async def test_upload_describes_the_image(uploads: UploadService, repository: WatchedRepository, format: str) -> None:
    file = image_bytes(130, 101, format)
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # SQLite's clock has no more digits

    upload = await uploads.receive(chunks_of(file))

    assert parse_upload_id(upload.upload_id) == upload.upload_id
    assert (upload.format, upload.original_size, upload.width, upload.height) == (format, len(file), 130, 101)
    assert upload.color.startswith("#")
    assert len(upload.color) == 7
    assert len(upload.thumbhash) >= 8
    assert before <= upload.created_at <= datetime.now(UTC)
    assert await repository.find(upload.upload_id) == (
        upload,
        Job(upload.upload_id, JobStatus.PENDING, 0, None, upload.created_at, upload.created_at),
    )


@pytest.mark.parametrize(
    ("file", "alpha"),
    [
        (pictures.jpeg(OPAQUE), False),
        (pictures.png(OPAQUE), False),
        (pictures.png(OPAQUE.convert("RGBA")), False),
        (pictures.webp(OPAQUE.convert("RGBA")), False),
        (pictures.png(WITH_A_HOLE), True),
        (pictures.webp(WITH_A_HOLE), True),
    ],
    ids=["jpeg", "png", "png opaque alpha", "webp opaque alpha", "png with a hole", "webp with a hole"],
)
async def test_alpha_is_recorded(
    uploads: UploadService, repository: WatchedRepository, store: CountingStore, file: bytes, alpha: bool
) -> None:
    upload = await uploads.receive(chunks_of(file))

    assert upload.alpha is alpha
    assert (await repository.find(upload.upload_id))[0].alpha is alpha
    original = await store.inner.head(original_key(upload.upload_id))
    assert original.metadata["alpha"] == f"{alpha:d}"


async def test_animation_is_recorded(
    uploads: UploadService, repository: WatchedRepository, store: CountingStore
) -> None:
    for format, animated in (("PNG", True), ("WEBP", True), ("MPO", False)):
        upload = await uploads.receive(chunks_of(pictures.animated(OPAQUE, format)))

        assert upload.animated is animated
        assert (await repository.find(upload.upload_id))[0].animated is animated
        original = await store.inner.head(original_key(upload.upload_id))
        assert original.metadata["animated"] == f"{animated:d}"


@pytest.mark.parametrize(("image", "fallback"), [(OPAQUE, "jpg"), (WITH_A_HOLE, "png")], ids=["opaque", "alpha"])
async def test_every_standard_variant_is_waiting(uploads: UploadService, image: PIL.Image.Image, fallback: str) -> None:
    upload = await uploads.receive(chunks_of(pictures.png(image)))

    assert upload.variants == {
        f"{size}.{format}": WarmedVariant(f"/images/{upload.upload_id}/{size}.{format}", VariantState.WAITING)
        for size in ("tiny", "small")
        for format in (fallback, "webp", "avif")
    }


async def test_dimensions_are_upright(uploads: UploadService) -> None:
    upright = PIL.Image.new("RGB", (140, 100), "teal")

    upload = await uploads.receive(chunks_of(oriented(upright, 6)))

    assert (upload.width, upload.height) == (140, 100)


@pytest.mark.parametrize("sides", [(100, 100), (1000, 100), (100, 1000)])
async def test_smallest_and_largest_sides_are_accepted(uploads: UploadService, sides: tuple[int, int]) -> None:
    upload = await uploads.receive(chunks_of(image_bytes(*sides)))

    assert (upload.width, upload.height) == sides


@pytest.mark.heavy
@pytest.mark.parametrize("split", [1, 11, 12, 65_536, 100_003, None])
async def test_chunking_does_not_change_the_original(
    uploads: UploadService, store: CountingStore, split: int | None
) -> None:
    side = 110 if split and split < 100 else 550  # noise of 0.9 MB, more than is written at once
    noise = np.random.default_rng(5).integers(0, 256, (side, side, 3), np.uint8)
    file = pictures.png(PIL.Image.fromarray(noise))

    upload = await uploads.receive(chunks_of(file, split))

    stored = await store.inner.get(original_key(upload.upload_id))
    assert stored.body == file
    assert stored.info.metadata["sha256"] == hashlib.sha256(file).hexdigest()
    assert upload.original_size == len(file)


async def test_trailing_bytes_are_kept(uploads: UploadService, store: CountingStore) -> None:
    file = image_bytes() + b"what a camera leaves at the end"

    upload = await uploads.receive(chunks_of(file))

    assert (await store.inner.get(original_key(upload.upload_id))).body == file


async def test_upload_is_published_once_and_counted(
    uploads: UploadService, queue: RecordingQueue, metrics: Metrics
) -> None:
    upload = await uploads.receive(chunks_of(image_bytes()))

    assert queue.published == [upload.upload_id]
    assert sample(metrics, "darkroom_uploads_total", outcome="ok") == 1


async def test_no_temporary_file_is_left(uploads: UploadService, temporary: Path) -> None:
    await uploads.receive(chunks_of(image_bytes()))

    assert files_below(temporary) == []


async def test_queue_outage_does_not_fail_the_upload(
    uploads: UploadService, queue: RecordingQueue, repository: WatchedRepository, metrics: Metrics
) -> None:
    queue.failure = queue_away()

    upload = await uploads.receive(chunks_of(image_bytes()))

    assert await repository.next_pending() == upload.upload_id
    assert sample(metrics, "darkroom_uploads_total", outcome="ok") == 1


@pytest.mark.promise("B11")
async def test_concurrent_uploads_of_one_file_are_two_uploads(uploads: UploadService, store: CountingStore) -> None:
    first, second = await asyncio.gather(*(uploads.receive(chunks_of(image_bytes(), 500)) for _ in range(2)))

    assert first.upload_id != second.upload_id
    assert await store.keys() == sorted([original_key(first.upload_id), original_key(second.upload_id)])


async def test_job_exists_invisibly_from_the_first_bytes(
    uploads: UploadService, database: Database, repository: WatchedRepository, store: CountingStore, temporary: Path
) -> None:
    file = image_bytes()
    seen: dict[str, object] = {}

    async def watched() -> AsyncIterator[bytes]:
        yield file[:63]
        seen["before its type is known"] = await rows(database)
        yield file[63:64]
        yield file[64:600]
        seen["rows"] = await rows(database)
        [(_, upload_id)] = repository.calls
        seen["files"] = files_below(temporary) == [upload_id, f"{upload_id}/original"]
        with pytest.raises(UnknownUpload):
            await repository.find(UploadId(upload_id))
        seen["pending"] = await repository.next_pending()
        seen["stored"] = await store.keys()
        yield file[600:]

    await uploads.receive(watched())

    assert seen == {
        "before its type is known": (0, 0),
        "rows": (1, 0),
        "files": True,
        "pending": None,
        "stored": [],
    }
    assert await rows(database) == (1, 1)


async def test_bytes_and_seconds_are_observed_once_durable(uploads: UploadService, metrics: Metrics) -> None:
    file = image_bytes()
    await uploads.receive(chunks_of(file))
    with pytest.raises(UnsupportedFormat):
        await uploads.receive(chunks_of(b"no picture at all"))

    assert sample(metrics, "darkroom_upload_bytes_sum") == len(file)
    assert sample(metrics, "darkroom_upload_bytes_count") == sample(metrics, "darkroom_upload_seconds_count") == 1
    assert 0 < sample(metrics, "darkroom_upload_seconds_sum") < 60


async def test_job_keeps_the_request_id(uploads: UploadService, repository: WatchedRepository) -> None:
    with bound_contextvars(request="from-the-edge"):
        upload = await uploads.receive(chunks_of(image_bytes()))

    _, job = await repository.find(upload.upload_id)
    assert job.trace_context == TraceContext("from-the-edge", None)
