"""The app of `darkroom serve --role proxy`, with files, render processes and photographs."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from starlette.types import Message

from proxy.errors import RenderFailed, StoreUnavailable
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, new_upload_id
from proxy.rendering.pool import RenderPool
from proxy.services import build_services, open_store
from proxy.settings import Settings, SettingsError
from proxy.storage.disk import DiskStore
from proxy.storage.s3 import S3Store
from proxy.web.app import create_app
from tests.asgi import lifespan
from tests.fakes import listing
from tests.photographs import photograph_bytes

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("restored_logging")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("origin")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(data_dir=folder, render_processes=1, render_timeout=60, log_format="json"))
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        yield client


async def upload(folder: Path, body: bytes) -> UploadId:
    upload_id = new_upload_id()
    await DiskStore(folder / "objects").put(original_key(upload_id), body, content_type="image/jpeg")
    return upload_id


@pytest.mark.parametrize(
    ("name", "format", "side"),
    [
        ("small.jpg", "JPEG", 150),
        ("medium.png", "PNG", 400),
        ("small@2x.webp", "WEBP", 300),
        ("small.avif", "AVIF", 150),
    ],
)
async def test_variant_is_served_in_every_format(
    client: httpx.AsyncClient, folder: Path, name: str, format: str, side: int
) -> None:
    upload_id = await upload(folder, photograph_bytes("rocket.jpg"))

    derived = await client.get(f"/images/{upload_id}/{name}")
    again = await client.get(f"/images/{upload_id}/{name}")

    assert (derived.status_code, again.status_code) == (200, 200)
    assert derived.content == again.content
    with Image.open(BytesIO(derived.content)) as image:
        assert (image.format, image.size) == (format, (side, side))
    assert again.headers["cache-status"] == "darkroom; hit"
    assert [part.split(";")[0] for part in derived.headers["server-timing"].split(", ")] == [
        "fetch",
        "decode",
        "resize",
        "encode",
    ]


@pytest.mark.promise("C9")
async def test_corrupt_original_returns_422(client: httpx.AsyncClient, folder: Path) -> None:
    upload_id = await upload(folder, photograph_bytes("chelsea.png")[:20_000])

    answer = await client.get(f"/images/{upload_id}/small.jpg")

    assert answer.status_code == 422
    assert answer.json()["code"] == "undecodable"
    assert answer.headers["cache-control"] == "public, max-age=60"


async def test_unknown_upload_returns_404(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/images/{new_upload_id()}/small.jpg")).status_code == 404


async def test_jpeg_redirect_leads_to_the_variant(client: httpx.AsyncClient, folder: Path) -> None:
    upload_id = await upload(folder, photograph_bytes("rocket.jpg"))

    answer = await client.get(f"/images/{upload_id}/small.jpeg", follow_redirects=True)

    assert answer.status_code == 200
    assert [response.status_code for response in answer.history] == [308]
    assert answer.url.path == f"/images/{upload_id}/small.jpg"


async def test_health_and_metrics_are_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ready", "checks": {"store": "ok"}}
    assert "darkroom_render_waiting 0.0" in (await client.get("/metrics")).text
    assert (await client.get("/nowhere")).status_code == 404


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SettingsError("The watermark logo.png cannot be decoded."), "The watermark logo.png cannot be decoded."),
        (RenderFailed("No render worker could be started."), "No render worker could be started."),
        (RuntimeError("a bug"), "Traceback (most recent call last):"),
    ],
)
async def test_start_that_fails_shows_a_traceback_only_for_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    async def fail(_: RenderPool) -> None:
        raise error

    monkeypatch.setattr(RenderPool, "start", fail)
    app, sent = create_app(Settings(data_dir=tmp_path)), list[Message]()

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(type(error)):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

    assert [(one["type"], one["message"].splitlines()[0]) for one in sent] == [("lifespan.startup.failed", said)]


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/", "/metrics/"])
async def test_response_does_not_echo_the_host_header(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Host": "evil.test"})

    assert "evil.test" not in answer.headers.get("location", "")
    assert "evil.test" not in answer.text


@pytest.mark.heavy
async def test_shutdown_finishes_write_backs_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, render_processes=1, render_timeout=60))
    upload_id = await upload(tmp_path, photograph_bytes("rocket.jpg"))
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        answer = await client.get(f"/images/{upload_id}/small.jpg")

    variant = Settings().sizes.parse("small.jpg")
    assert variant is not None
    stored = await DiskStore(tmp_path / "objects").get(variant_key(upload_id, variant))
    assert stored.body == answer.content
    assert listing(tmp_path / "tmp") == []


async def test_readyz_fails_if_the_data_folder_is_a_file(tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.touch()
    origin = build_services(Settings(data_dir=occupied))

    with pytest.raises(StoreUnavailable):
        await origin.check_store()


@pytest.mark.heavy
async def test_open_store_uses_files_without_a_bucket(tmp_path: Path) -> None:
    assert isinstance(open_store(Settings(data_dir=tmp_path)), DiskStore)

    bucket = open_store(
        Settings(s3_bucket="b", aws_region="eu-central-1", aws_access_key_id="id", aws_secret_access_key="secret")
    )
    assert isinstance(bucket, S3Store)
    await bucket.close()
