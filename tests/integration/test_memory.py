"""The memory budget of a real server, with concurrent requests for the heaviest images that it accepts."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from proxy.settings import RENDER_IDLE_MB
from tests.client import until
from tests.conftest import reads
from tests.http_client import http
from tests.pictures import flat_webp, jpeg, png
from tests.service import Service
from tests.watch import Watch

pytestmark = [pytest.mark.slow, pytest.mark.serial, reads("/proc/self/statm")]

SIDE = 10_000
BUDGET_MB = 2000  # enough for one WebP at a time, or for a few of the others
VARIANTS = [f"{size}.{format}" for size in ("small", "large") for format in ("jpg", "png", "webp", "avif")]


def originals() -> Iterator[bytes]:
    """Yields large images of each format in small files."""
    picture = Image.new("RGB", (SIDE, SIDE), (200, 30, 30))
    yield jpeg(picture, quality=50)
    yield jpeg(picture, quality=50, progressive=True)
    yield png(picture, compress_level=1)
    yield flat_webp(SIDE, SIDE)


def upload(service: Service, picture: bytes) -> str:
    answer = http.post(f"{service.url}/images/upload", files={"image": ("photo", picture)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def get(service: Service, upload_id: str, name: str) -> httpx.Response:
    return http.get(f"{service.url}/images/{upload_id}/{name}")


@pytest.mark.promise("A3")
async def test_largest_originals_at_once_stay_within_the_memory_budget(tmp_path: Path) -> None:
    settings = {
        "WARM_UP": "false",
        "RENDER_MEMORY_MB": str(BUDGET_MB),
        "RENDER_PROCESSES": "3",
        "RENDER_TIMEOUT": "30",  # a busy machine would answer 503 to most
    }
    with Service(tmp_path, **settings) as service:
        watch = Watch(service.pid)
        with watch.running():
            upload_ids = [upload(service, picture) for picture in originals()]
            urls = [f"{service.url}/images/{upload_id}/{name}" for name in VARIANTS for upload_id in upload_ids]
            async with httpx.AsyncClient(timeout=90, verify=False) as client:
                answers = await asyncio.gather(*(client.get(url) for url in urls))

        assert len(answers) == 32
        assert watch.samples > 100
        assert 500 << 20 < watch.most <= BUDGET_MB << 20
        counts = Counter(answer.status_code for answer in answers)
        assert counts.keys() <= {200, 503}, [answer.text for answer in answers if answer.status_code not in (200, 503)]
        assert counts[200] >= 8
        for answer in answers:
            if answer.status_code == 503:
                assert answer.json()["code"] == "overloaded"
                assert 1 <= int(answer.headers["retry-after"]) <= 300

        # A process that was replaced after its last request gives its memory back when the next one is ready.
        until(lambda: service.metric("darkroom_render_reserved_bytes") == 0)
        assert service.metric("darkroom_render_waiting") == 0
        for upload_id in upload_ids:  # without load, each one is derived
            assert get(service, upload_id, "medium.jpg").status_code == 200
        assert watch.held() < 3 * RENDER_IDLE_MB << 20


@pytest.mark.promise("A3")
def test_image_beyond_the_memory_budget_is_refused_with_figures(tmp_path: Path) -> None:
    with Service(tmp_path, RENDER_MEMORY_MB="500", RENDER_PROCESSES="2") as service:
        answer = http.post(f"{service.url}/images/upload", files={"image": ("photo", flat_webp(SIDE, SIDE))})

        assert answer.status_code == 422
        assert answer.json()["code"] == "too_heavy"
        assert "RENDER_MEMORY_MB=500 leaves 372 MB" in answer.json()["detail"]
