"""Refused pictures: the upload raises the reason and leaves nothing."""

from pathlib import Path

import anyio
import pytest
from PIL import Image

from ingest.ingest_errors import MissingImage
from ingest.uploads.upload_service import UploadService
from proxy.errors import Refused, TooHeavy, TooManyPixels, TooSmall, Undecodable, UnsupportedFormat
from proxy.keys import original_key
from proxy.model import SourceFormat
from proxy.rendering.pool import RenderPool
from proxy.telemetry import Metrics
from tests import pictures
from tests.fakes import CountingStore, sample
from tests.unit.ingest.bodies import Pieces, chunks_of
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.leftovers import Check
from tests.unit.ingest.repositories import WatchedRepository

pytestmark = pytest.mark.asyncio(loop_scope="session")

JPEG = image_bytes()
REFUSED: dict[str, tuple[bytes, type[Refused]]] = {
    "nothing": (b"", MissingImage),
    "one byte": (b"\xff", UnsupportedFormat),
    "a GIF": (b"GIF89a" + bytes(1000), UnsupportedFormat),
    "a page": (b"<!doctype html><title>no picture</title>", UnsupportedFormat),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', UnsupportedFormat),
    "a RIFF that is sound": (b"RIFF\x24\0\0\0WAVEfmt ", UnsupportedFormat),
    "a JPEG behind a space": (b" " + JPEG, UnsupportedFormat),
    "too low": (image_bytes(100, 99), TooSmall),
    "too narrow": (image_bytes(99, 100, "png"), TooSmall),
    "too wide": (image_bytes(1001, 100), TooManyPixels),
    "too high": (image_bytes(100, 1001, "webp"), TooManyPixels),
    "a bomb": (pictures.png_header(100_000, 100_000) + pictures.chunk(b"IDAT", bytes(100)), TooManyPixels),
    "half a JPEG": (JPEG[: len(JPEG) // 2], Undecodable),
    "half a PNG": (image_bytes(format="png")[:-200], Undecodable),
    "half a WebP": (image_bytes(format="webp")[:-100], Undecodable),
    "a signature alone": (b"\xff\xd8\xff", Undecodable),
    "a PNG's header alone": (pictures.png_header(200, 200), Undecodable),
    "noise behind a signature": (b"\xff\xd8\xff\xe0" + bytes(5000), Undecodable),
}


class TestPictures:
    @pytest.mark.parametrize(("file", "kind"), REFUSED.values(), ids=REFUSED)
    async def test_refused_image_leaves_nothing(
        self, uploads: UploadService, metrics: Metrics, assert_nothing_left: Check, file: bytes, kind: type[Refused]
    ) -> None:
        with pytest.raises(kind) as caught:
            await uploads.receive(chunks_of(file, 400))

        assert type(caught.value) is kind
        assert str(caught.value) != kind.title
        assert sample(metrics, "darkroom_uploads_total", outcome=kind.code) == 1
        await assert_nothing_left()

    async def test_other_file_is_refused_by_its_first_bytes(
        self, uploads: UploadService, repository: WatchedRepository, store: CountingStore
    ) -> None:
        body = Pieces([b"GIF89a", bytes(58), *[bytes(1000)] * 100])

        with pytest.raises(UnsupportedFormat):
            await uploads.receive(aiter(body))

        assert body.taken == 2
        assert ("begin" in {method for method, _ in repository.calls}) is False
        assert store.count("put") == 0

    async def test_undecodable_image_is_never_stored(self, uploads: UploadService, store: CountingStore) -> None:
        with pytest.raises(Undecodable):
            await uploads.receive(chunks_of(JPEG[:-500]))

        assert store.count("put") == 0

    async def test_picture_too_heavy_to_derive_is_refused(
        self,
        *,
        uploads: UploadService,
        pool: RenderPool,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        assert_nothing_left: Check,
    ) -> None:
        path = anyio.Path(tmp_path / "looked-at.jpg")
        await path.write_bytes(JPEG)
        monkeypatch.setattr(pool, "_max_estimate", await pool.estimate_memory(Path(path)))

        with pytest.raises(TooHeavy):
            await uploads.receive(chunks_of(JPEG))

        await assert_nothing_left()


class TestAccept:
    @pytest.mark.parametrize(
        ("accept", "words"),
        [
            ((SourceFormat.JPEG, SourceFormat.PNG, SourceFormat.WEBP), "Send a JPEG, PNG or WebP image."),
            ((SourceFormat.PNG, SourceFormat.HEIC), "Send a PNG or HEIC image."),
            ((SourceFormat.TIFF,), "Send a TIFF image."),
        ],
    )
    async def test_refusal_names_the_sent_and_the_accepted_formats(
        self, uploads: UploadService, monkeypatch: pytest.MonkeyPatch, accept: tuple[SourceFormat, ...], words: str
    ) -> None:
        monkeypatch.setattr(uploads, "_formats", accept)

        for file, reason in ((b"GIF89a" + bytes(99), "This server does not accept GIF. "), (b"BM" + bytes(99), "")):
            with pytest.raises(UnsupportedFormat) as caught:
                await uploads.receive(chunks_of(file))
            assert str(caught.value) == reason + words

    @pytest.mark.parametrize(("format", "name"), [(SourceFormat.GIF, "GIF"), (SourceFormat.TIFF, "TIFF")])
    async def test_accepted_format_is_stored_with_its_media_type(
        self,
        uploads: UploadService,
        store: CountingStore,
        monkeypatch: pytest.MonkeyPatch,
        format: SourceFormat,
        name: str,
    ) -> None:
        monkeypatch.setattr(uploads, "_formats", (format,))
        file = pictures.save(Image.new("RGB", (120, 110), (200, 30, 30)).quantize(2), name)

        upload = await uploads.receive(chunks_of(file))

        stored = await store.head(original_key(upload.upload_id))
        assert (upload.format, stored.content_type) == (name.lower(), f"image/{name.lower()}")
        assert (upload.width, upload.height, upload.alpha) == (120, 110, False)
