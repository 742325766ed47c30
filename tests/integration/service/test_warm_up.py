"""What is derived ahead: by the worker, by the command, and anew when the sizes change."""

import io
import json
from pathlib import Path

from PIL import Image

from tests.client import completed, upload
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.service import Service, darkroom

CHELSEA = photograph_bytes("chelsea.png")
FORMATS = ("jpg", "png", "webp", "avif")
STANDARD = [f"{size}.{format}" for size in ("small", "medium", "large") for format in FORMATS]


def test_a_warm_up_makes_the_bytes_that_a_request_would_make(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    with Service(tmp_path, **stores) as service:
        warmed = upload(service, photograph)
        status = completed(service, warmed)
        assert status["progress"] == 100
        bodies = {name: http.get(f"{service.url}/images/{warmed}/{name}") for name in STANDARD}
        assert {body.headers["cache-status"] for body in bodies.values()} == {"darkroom; hit"}
        assert {name: known["bytes"] for name, known in status["variants"].items()} == {
            name: len(body.content) for name, body in bodies.items()
        }
        service.stop()
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        requested = upload(service, photograph)
        for name in STANDARD:
            assert http.get(f"{service.url}/images/{requested}/{name}").content == bodies[name].content


def test_a_searched_quality_is_shown_with_its_score_and_stays_known(tmp_path: Path, stores: dict[str, str]) -> None:
    (tmp_path / "darkroom.toml").write_text('[sizes.card]\nwidth = 200\nquality = "auto"\n[sizes.small]\nwidth = 150\n')
    with Service(tmp_path, **stores) as service:
        warmed = upload(service, CHELSEA)
        status = completed(service, warmed)["variants"]
        for name, known in status.items():
            if name.startswith("small") or name.endswith("png"):
                assert (known["quality"], known["score"]) == (None, None)
            else:
                assert known["quality"] in range(1, 101)
                assert 80 <= known["score"] < 83
        bodies = {name: http.get(f"{service.url}/images/{warmed}/{name}").content for name in status}
        assert {name: len(body) for name, body in bodies.items()} == {n: known["bytes"] for n, known in status.items()}
        service.stop()

        service.start()
        assert completed(service, warmed)["variants"] == status
        service.stop()
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        requested = upload(service, CHELSEA)
        for name, body in bodies.items():
            assert http.get(f"{service.url}/images/{requested}/{name}").content == body
        service.stop()
        warm = darkroom(tmp_path, "warm", requested, **stores)
        assert warm.returncode == 0, warm.stderr
        service.start()
        found = completed(service, requested)["variants"]
        assert {name: {**known, "milliseconds": None} for name, known in status.items()} == found


def test_a_job_that_a_killed_server_left_is_done_after_the_next_start(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    with Service(tmp_path, **stores) as service:
        upload_ids = [upload(service, photograph) for _ in range(6)]
        service.kill()
        service.start()
        for upload_id in upload_ids:
            completed(service, upload_id)
        answer = http.get(f"{service.url}/images/{upload_ids[-1]}/medium.webp")
        assert answer.headers["cache-status"] == "darkroom; hit"


def test_the_command_warms_what_was_left(tmp_path: Path, stores: dict[str, str], photograph: bytes) -> None:
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        upload_id = upload(service, photograph)
        service.stop()
        warm = darkroom(tmp_path, "warm", "--missing", "--json", **stores)
        assert warm.returncode == 0, warm.stderr
        assert json.loads(warm.stdout) == {"complete": 1, "failed": [], "skipped": 0}
        service.start()
        completed(service, upload_id)
        assert http.get(f"{service.url}/images/{upload_id}/small.avif").headers["cache-status"] == "darkroom; hit"


def test_a_changed_size_makes_variants_stale_and_refresh_makes_them_anew(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    sizes = "[sizes.thumb]\nwidth = {}\nheight = 40\n[sizes.other]\nwidth = 50\nheight = 50\n"
    (tmp_path / "darkroom.toml").write_text(sizes.format(60))
    with Service(tmp_path, **stores) as service:
        upload_id = upload(service, photograph)
        completed(service, upload_id)

    (tmp_path / "darkroom.toml").write_text(sizes.format(90))
    found = darkroom(tmp_path, "refresh", "--dry-run", "--json", **stores)
    done = darkroom(tmp_path, "refresh", "--json", **stores)
    after = darkroom(tmp_path, "refresh", "--dry-run", "--json", **stores)

    assert [run.returncode for run in (found, done, after)] == [0, 0, 0], found.stderr + done.stderr + after.stderr
    report = json.loads(found.stdout)
    assert (report["uploads"], report["variants"]) == (1, len(FORMATS))
    assert report["seconds"] > 0
    assert json.loads(done.stdout) == report | {"failed": []}
    assert json.loads(after.stdout)["variants"] == 0
    with Service(tmp_path, **stores, WARM_UP="false") as service:
        answer = http.get(f"{service.url}/images/{upload_id}/thumb.png")
        assert answer.headers["cache-status"] == "darkroom; hit"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (90, 40)
