"""Warm-ups: by the worker, by the command, and again after a change of sizes."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.client import completed, status, upload
from tests.cluster import TINY
from tests.http_client import http
from tests.integration.service.conftest import NewStore
from tests.photographs import photograph_bytes
from tests.service import Service, darkroom

CHELSEA = photograph_bytes("chelsea.png")
S3_LONG = pytest.mark.parametrize(
    "new_store", ["files", pytest.param("s3", marks=pytest.mark.long)], indirect=True, scope="module"
)
"""For what hardly depends on the store. On S3 it takes twice as long."""
FORMATS = ("jpg", "webp", "avif")  # of the warm-up of an opaque upload
SIZES = '[sizes.card]\nwidth = 200\nquality = "auto"\n[sizes.small]\nwidth = 150\nheight = 150\n'


@pytest.fixture(scope="module")
def warming(tmp_path_factory: pytest.TempPathFactory, new_store: NewStore) -> Iterator[Service]:
    """A server with a worker."""
    with _service(tmp_path_factory.mktemp("warming"), new_store()) as service:
        yield service


@pytest.fixture(scope="module")
def idle_store(new_store: NewStore) -> dict[str, str]:
    return new_store()


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, idle_store: dict[str, str]) -> Iterator[Service]:
    """A server without a worker."""
    with _service(tmp_path_factory.mktemp("idle"), idle_store | {"WARM_UP": "false"}) as service:
        yield service


def _service(folder: Path, settings: dict[str, str]) -> Service:
    (folder / "darkroom.toml").write_text(SIZES)
    return Service(folder, **settings)


def _variants(service: Service, upload_id: str) -> dict[str, bytes]:
    names = [f"{size}.{format}" for size in ("card", "small") for format in FORMATS]
    answers = {name: http.get(f"{service.url}/images/{upload_id}/{name}") for name in names}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {name: answer.content for name, answer in answers.items()}


def _run(folder: Path, *arguments: str, **settings: str) -> Any:
    done = darkroom(folder, *arguments, "--json", **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_warm_up_makes_the_bytes_of_a_request(warming: Service, idle: Service, photograph: bytes) -> None:
    warmed = upload(warming, photograph)
    document = completed(warming, warmed)
    assert document["progress"] == 100
    derived = warming.metric("darkroom_derivations_total")
    bodies = _variants(warming, warmed)
    assert warming.metric("darkroom_derivations_total") == derived
    assert {name: known["bytes"] for name, known in document["variants"].items()} == {
        name: len(body) for name, body in bodies.items()
    }

    png = http.get(f"{warming.url}/images/{warmed}/small.png")
    assert png.headers["cache-status"] == "darkroom; fwd=miss; stored"

    requested = upload(idle, photograph)

    assert _variants(idle, requested) == bodies
    assert idle.metric("darkroom_derivations_total") == len(bodies)


@pytest.mark.slow
@S3_LONG
def test_automatic_quality_is_reported_with_its_score(
    warming: Service, idle: Service, idle_store: dict[str, str]
) -> None:
    warmed = upload(warming, CHELSEA)
    document = completed(warming, warmed)["variants"]
    for name, known in document.items():
        if name.startswith("small"):
            assert (known["quality"], known["score"]) == (None, None)
        else:
            assert known["quality"] in range(1, 101)
            assert 80 <= known["score"] < 83
    warming.stop()
    warming.start()
    assert completed(warming, warmed)["variants"] == document

    requested = upload(idle, CHELSEA)
    assert _variants(idle, requested) == _variants(warming, warmed)
    _run(idle.folder, "warm", requested, **idle_store)
    found = completed(idle, requested)["variants"]
    assert {name: {**known, "milliseconds": None} for name, known in document.items()} == found


@pytest.mark.slow
def test_job_of_a_killed_server_completes_after_the_next_start(warming: Service, photograph: bytes) -> None:
    upload_ids = [upload(warming, photograph) for _ in range(4)]
    assert status(warming, upload_ids[-1]) != "complete"
    warming.kill()

    warming.start()

    for upload_id in upload_ids:
        completed(warming, upload_id)
    answer = http.get(f"{warming.url}/images/{upload_ids[-1]}/small.webp")
    assert answer.headers["cache-status"] == "darkroom; hit"


@pytest.mark.slow
def test_warm_command_derives_missing_variants(tmp_path: Path, photograph: bytes) -> None:
    (tmp_path / "darkroom.toml").write_text(TINY)
    (tmp_path / "photo.jpg").write_bytes(photograph)
    document = _run(tmp_path, "upload", "photo.jpg")

    warmed = _run(tmp_path, "warm", "--missing")

    assert warmed == {"complete": 1, "failed": [], "failedCount": 0, "skipped": 0, "unknown": []}
    variants = _run(tmp_path, "show", document["uploadId"])["variants"]
    assert {known["state"] for known in variants.values()} == {"stored"}


@S3_LONG
@pytest.mark.slow
def test_changed_size_makes_variants_stale_until_refresh(
    tmp_path: Path, new_store: NewStore, photograph: bytes
) -> None:
    store = new_store()
    sizes = "[sizes.thumb]\nwidth = {}\nheight = 40\n[sizes.other]\nwidth = 50\nheight = 50\n"
    (tmp_path / "photo.jpg").write_bytes(photograph)
    (tmp_path / "darkroom.toml").write_text(sizes.format(60))
    document = _run(tmp_path, "upload", "photo.jpg", **store)
    _run(tmp_path, "warm", "--all", **store)

    (tmp_path / "darkroom.toml").write_text(sizes.format(90))
    found = _run(tmp_path, "refresh", "--dry-run", **store)
    done = _run(tmp_path, "refresh", **store)
    after = _run(tmp_path, "refresh", "--dry-run", **store)

    assert (found["uploads"], found["variants"]) == (1, len(FORMATS))
    assert found["seconds"] > 0
    assert done == found
    assert after["variants"] == 0
    with Service(tmp_path, **store, WARM_UP="false") as service:
        answer = http.get(f"{service.url}/images/{document['uploadId']}/thumb.webp")
        assert answer.headers["cache-status"] == "darkroom; hit"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (90, 40)
