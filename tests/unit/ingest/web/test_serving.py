"""The app as a server runs it: start, upload, warm-up, stop."""

from pathlib import Path

import httpx
import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.web.ingest_app import create_app, create_ingest_app
from proxy.settings import Settings
from tests.asgi import lifespan
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.leftovers import files_below


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path, render_processes=1, sizes={"tiny": {"width": 24, "height": 24}})
    database = Database.from_settings(settings)
    await database.migrate()
    await database.close()
    return settings


@pytest.mark.heavy
async def test_upload_is_warmed_up_automatically(settings: Settings) -> None:
    app = create_app(settings)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        created = (await client.post("/images/upload", files={"image": ("a.jpg", image_bytes())})).json()
        await client.get(f"/images/{created['uploadId']}/events")  # ends with the job
        status = (await client.get(created["statusUrl"])).json()
        variant = await client.get(created["urls"]["tiny"]["avif"])

    assert (status["status"], status["progress"]) == ("complete", 100)
    assert variant.headers["cache-status"] == "darkroom; hit"
    assert files_below(settings.temporary) == []


@pytest.mark.heavy
async def test_disabled_warm_up_leaves_uploads_pending(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"warm_up": False}))
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        created = (await client.post("/images/upload", files={"image": ("a.jpg", image_bytes())})).json()
        assert (await client.get(created["urls"]["tiny"]["jpg"])).status_code == 200
        status = (await client.get(created["statusUrl"])).json()

    assert status["status"] == "pending"


@pytest.mark.heavy
async def test_ingest_role_serves_no_variants(settings: Settings) -> None:
    app = create_ingest_app(settings)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        created = (await client.post("/images/upload", files={"image": ("a.jpg", image_bytes())})).json()

        assert (await client.get(created["urls"]["tiny"]["jpg"])).status_code == 404
        assert (await client.get(created["statusUrl"])).status_code == 200


@pytest.mark.heavy
async def test_ingest_role_keeps_request_ids(settings: Settings) -> None:
    app = create_ingest_app(settings.model_copy(update={"warm_up": False}))
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        files, headers = {"image": ("a.jpg", image_bytes())}, {"X-Request-Id": "of-the-edge.1"}
        answer = await client.post("/images/upload", files=files, headers=headers)
    database = Database.from_settings(settings)
    _, job = await JobRepository(database).find(answer.json()["uploadId"])
    await database.close()

    assert answer.headers["x-request-id"] == job.trace_context.request_id == "of-the-edge.1"
