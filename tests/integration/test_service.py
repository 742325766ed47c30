"""The whole service as its users meet it: real processes, real HTTP, on files and on a real S3 server."""

import asyncio
import io
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from tests import photographs
from tests.camera import camera_jpeg
from tests.photographs import photograph_bytes
from tests.pictures import disc, png
from tests.seaweedfs import SeaweedServer
from tests.service import Service, darkroom

SIZES = {"small": 150, "medium": 400, "large": 800}
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}
CHELSEA = photograph_bytes("chelsea.png")
STANDARD = [f"{size}.{format}" for size in SIZES for format in FORMATS]
LIKENESS = {"jpg": 25.0, "png": 38.0, "webp": 25.0, "avif": 25.0}
"""dB of PSNR against a full decode. This busy picture measures 26.6 and more in the lossy formats, 42.7 in PNG; a shift
of two pixels measures 18, a lost rotation 9, and PNG without the profile 31."""


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """12 megapixels, lying on its side by EXIF, with GPS and a profile: what phones send."""
    return camera_jpeg(orientation=6)


@pytest.fixture(params=["files", "s3"])
def stores(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of each store."""
    if request.param == "files":
        yield {}
        return
    server: SeaweedServer = request.getfixturevalue("seaweedfs")
    bucket = f"darkroom-{uuid4().hex[:12]}"
    server.create_bucket(bucket)
    yield {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
    }


def upload(service: Service, picture: bytes) -> str:
    answer = httpx.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", picture)}, timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def wait_for(service: Service, upload_id: str, status: str) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        document: dict[str, object] = httpx.get(f"{service.url}/images/{upload_id}/status").json()
        if document["status"] == status:
            return document
        time.sleep(0.05)
    raise AssertionError(f"never {status}: {document}\n{service.log()}")


def straightforward(picture: bytes, side: int) -> Image.Image:
    """The same variant made with none of our code: full decode, upright, sRGB, centre crop, Lanczos."""
    image = Image.open(io.BytesIO(picture))
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if profile:
        upright = ImageCms.profileToProfile(
            upright, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    return ImageOps.fit(upright.convert("RGB"), (side, side), Image.Resampling.LANCZOS)


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


def test_a_photograph_goes_in_and_every_variant_comes_out(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        upload_id = upload(service, photograph)
        bodies = {}
        for name in STANDARD:
            size, _, format = name.partition(".")
            url = f"{service.url}/images/{upload_id}/{name}"
            first, second = httpx.get(url), httpx.get(url)
            assert first.headers["cache-status"] == "darkroom; fwd=miss; stored"
            assert second.headers["cache-status"] == "darkroom; hit"
            assert first.content == second.content
            assert first.headers["etag"] == second.headers["etag"]
            picture = Image.open(io.BytesIO(first.content))
            assert (picture.format, picture.size) == (FORMATS[format], (SIZES[size],) * 2)
            assert psnr(picture, straightforward(photograph, SIZES[size])) > LIKENESS[format], name
            assert not picture.info.keys() & {"exif", "icc_profile", "xmp", "comment"}
            bodies[name] = first.content
        assert service.metric("darkroom_derivations_total", outcome="ok") == 12
        service.stop()

        service.start()
        for name in STANDARD:
            again = httpx.get(f"{service.url}/images/{upload_id}/{name}")
            assert again.headers["cache-status"] == "darkroom; hit"
            assert again.content == bodies[name]
        assert service.metric("darkroom_derivations_total") == 0
        assert service.metric("darkroom_variant_requests_total", tier="stored") == 12


def test_a_warm_up_makes_the_bytes_that_a_request_would_make(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    with Service(tmp_path, **stores) as service:
        warmed = upload(service, photograph)
        status = wait_for(service, warmed, "complete")
        assert status["progress"] == 100
        bodies = {name: httpx.get(f"{service.url}/images/{warmed}/{name}") for name in STANDARD}
        assert {body.headers["cache-status"] for body in bodies.values()} == {"darkroom; hit"}
        assert {name: known["bytes"] for name, known in status["variants"].items()} == {
            name: len(body.content) for name, body in bodies.items()
        }
        service.stop()
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        requested = upload(service, photograph)
        for name in STANDARD:
            assert httpx.get(f"{service.url}/images/{requested}/{name}").content == bodies[name].content


def test_a_searched_quality_is_shown_with_its_score_and_stays_known(tmp_path: Path, stores: dict[str, str]) -> None:
    (tmp_path / "darkroom.toml").write_text('[sizes.card]\nwidth = 200\nquality = "auto"\n[sizes.small]\nwidth = 150\n')
    with Service(tmp_path, **stores) as service:
        warmed = upload(service, CHELSEA)
        status = wait_for(service, warmed, "complete")["variants"]
        for name, known in status.items():
            if name.startswith("small") or name.endswith("png"):
                assert (known["quality"], known["score"]) == (None, None)
            else:
                assert known["quality"] in range(1, 101)
                assert 80 <= known["score"] < 83
        bodies = {name: httpx.get(f"{service.url}/images/{warmed}/{name}").content for name in status}
        assert {name: len(body) for name, body in bodies.items()} == {n: known["bytes"] for n, known in status.items()}
        service.stop()

        service.start()
        assert wait_for(service, warmed, "complete")["variants"] == status
        service.stop()
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        requested = upload(service, CHELSEA)
        for name, body in bodies.items():
            assert httpx.get(f"{service.url}/images/{requested}/{name}").content == body
        service.stop()
        warm = darkroom(tmp_path, "warm", requested, **stores)
        assert warm.returncode == 0, warm.stderr
        service.start()
        found = wait_for(service, requested, "complete")["variants"]
        assert {name: {**known, "milliseconds": None} for name, known in status.items()} == found


async def test_sixty_four_at_once_cost_one_derivation(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        upload_id = upload(service, photograph)
        url = f"{service.url}/images/{upload_id}/large.avif"
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=64), timeout=30) as client:
            answers = await asyncio.gather(*(client.get(url) for _ in range(64)))
        assert len({answer.content for answer in answers}) == 1
        statuses = Counter(answer.headers["cache-status"] for answer in answers)
        assert statuses["darkroom; fwd=miss; stored"] == 1
        assert service.metric("darkroom_derivations_total") == 1


def test_a_job_that_a_killed_server_left_is_done_after_the_next_start(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    with Service(tmp_path, **stores) as service:
        upload_ids = [upload(service, photograph) for _ in range(6)]
        service.kill()
        service.start()
        for upload_id in upload_ids:
            wait_for(service, upload_id, "complete")
        answer = httpx.get(f"{service.url}/images/{upload_ids[-1]}/medium.webp")
        assert answer.headers["cache-status"] == "darkroom; hit"


def test_the_command_warms_what_was_left(tmp_path: Path, stores: dict[str, str], photograph: bytes) -> None:
    with Service(tmp_path, WARM_UP="false", **stores) as service:
        upload_id = upload(service, photograph)
        service.stop()
        warm = darkroom(tmp_path, "warm", "--missing", "--json", **stores)
        assert warm.returncode == 0, warm.stderr
        assert json.loads(warm.stdout) == {"complete": 1, "failed": [], "skipped": 0}
        service.start()
        wait_for(service, upload_id, "complete")
        assert httpx.get(f"{service.url}/images/{upload_id}/small.avif").headers["cache-status"] == "darkroom; hit"


def test_a_changed_size_makes_variants_stale_and_refresh_makes_them_anew(
    tmp_path: Path, stores: dict[str, str], photograph: bytes
) -> None:
    sizes = "[sizes.thumb]\nwidth = {}\nheight = 40\n[sizes.other]\nwidth = 50\nheight = 50\n"
    (tmp_path / "darkroom.toml").write_text(sizes.format(60))
    with Service(tmp_path, **stores) as service:
        upload_id = upload(service, photograph)
        wait_for(service, upload_id, "complete")

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
        answer = httpx.get(f"{service.url}/images/{upload_id}/thumb.png")
        assert answer.headers["cache-status"] == "darkroom; hit"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (90, 40)


def test_auto_is_what_suits_the_client_and_the_picture(tmp_path: Path, stores: dict[str, str]) -> None:
    with Service(tmp_path, **stores, WARM_UP="false") as service:
        originals = [png(disc((200, 30, 30))), png(photographs.photograph("coffee.png"))]
        uploads = [upload(service, original) for original in originals]

        def formats(accept: str) -> list[str]:
            urls = [f"{service.url}/images/{upload_id}/small.auto" for upload_id in uploads]
            answers = [httpx.get(url, headers={"Accept": accept}) for url in urls]
            for answer in answers:
                with Image.open(io.BytesIO(answer.content)) as image:
                    assert answer.headers["content-type"] == f"image/{image.format.lower()}"
            return [answer.headers["content-type"] for answer in answers]

        assert formats("image/avif,image/webp,*/*;q=0.8") == ["image/avif", "image/avif"]
        assert formats("image/webp") == ["image/webp", "image/webp"]
        assert formats("*/*") == ["image/png", "image/jpeg"]


def test_deleting_leaves_nothing(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path) as service:
        upload_id = upload(service, photograph)
        wait_for(service, upload_id, "complete")
        assert httpx.delete(f"{service.url}/images/{upload_id}").status_code == 204
        assert httpx.delete(f"{service.url}/images/{upload_id}").status_code == 404
        for path in ("", "/status", "/small.jpg", "/large@2x.webp"):
            assert httpx.get(f"{service.url}/images/{upload_id}{path}").status_code == 404
        left = [path for path in (tmp_path / "data").rglob("*") if upload_id in path.name]
        assert left == [tmp_path / "data" / "purges" / upload_id]  # the announcement, for two minutes


def test_curl_uploads_and_is_told_why_not(tmp_path: Path, photograph: bytes) -> None:
    """The line that the README shows, by the client that it names."""
    (tmp_path / "photo.jpg").write_bytes(photograph)
    (tmp_path / "large.jpg").write_bytes(photograph.ljust(40 << 20, b"\0"))
    with Service(tmp_path, WARM_UP="false") as service:

        def curl(name: str, *options: str) -> tuple[str, str]:
            command = ["curl", "-sS", "-w", "\n%{http_code}", *options, "-F", f"image=@{name}"]
            done = subprocess.run(
                [*command, f"{service.url}/images/upload"], cwd=tmp_path, text=True, capture_output=True, check=True
            )
            body, _, status = done.stdout.rpartition("\n")
            return status, body

        assert curl("photo.jpg")[0] == "201"
        for options in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
            status, body = curl("large.jpg", *options)
            assert status == "413"
            assert '"code": "too_large"' in body
        status, body = curl("server.log")
        assert status == "400"
        assert '"code": "unsupported_format"' in body
        assert list((tmp_path / "data" / "tmp").iterdir()) == []


def test_two_server_processes_share_one_data_folder(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path, "--workers", "2") as service:
        upload_ids = [upload(service, photograph) for _ in range(4)]
        for upload_id in upload_ids:
            wait_for(service, upload_id, "complete")
            assert httpx.get(f"{service.url}/images/{upload_id}/large.jpg").status_code == 200


def test_what_one_process_deletes_the_others_forget(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path / "shared") as one, Service(tmp_path / "shared", "--role", "proxy") as two:
        url = f"{two.url}/images/{upload(one, photograph)}/small.webp"
        assert httpx.get(url, timeout=30).status_code == 200
        assert httpx.get(url).headers["cache-status"] == "darkroom; hit"

        darkroom(one.folder, "purge", url.split("/")[-2])

        gone = time.monotonic() + 20  # by itself it would find out after a minute
        while httpx.get(url).status_code == 200:
            assert time.monotonic() < gone
            time.sleep(0.1)
        assert httpx.get(url).status_code == 404


def test_the_proxy_alone_serves_what_ingest_stored(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path, "--role", "ingest", WARM_UP="false") as ingest:
        upload_id = upload(ingest, photograph)
        assert httpx.get(f"{ingest.url}/images/{upload_id}/small.jpg").status_code == 404
        with Service(tmp_path, "--role", "proxy", DATABASE_URL="postgresql+asyncpg://nobody@127.0.0.1:1/none") as proxy:
            assert httpx.get(f"{proxy.url}/images/{upload_id}/small.jpg").status_code == 200
            assert httpx.get(f"{proxy.url}/images/{upload_id}").status_code == 404
            assert httpx.post(f"{proxy.url}/images/upload").status_code == 404


def test_an_address_that_others_reach_needs_a_key(tmp_path: Path) -> None:
    refused = darkroom(tmp_path, "serve", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "API_KEYS" in refused.stderr


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    refused = darkroom(tmp_path, "serve", MAX_UPLOAD_MB="many", CDN_URL="cdn", RENDER_PROCESSES="0")
    assert refused.returncode == 2
    for name in ("MAX_UPLOAD_MB", "CDN_URL", "RENDER_PROCESSES"):
        assert name in refused.stderr


def test_the_settings_in_force_are_shown_without_their_secrets(tmp_path: Path) -> None:
    shown = darkroom(tmp_path, "config", API_KEYS="open-sesame", CDN_URL="https://cdn.example")
    assert "https://cdn.example" in shown.stdout
    assert "open-sesame" not in shown.stdout
