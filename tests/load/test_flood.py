"""Ten times as many new variants as can be derived, for some seconds; `tests/soak/load.py` runs it for minutes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.camera import camera_jpeg
from tests.client import get
from tests.load.flood import SIZES, Flood, capacity, cold_paths, flood
from tests.load.leaks import at_rest
from tests.photographs import photograph_bytes
from tests.service import Service
from tests.watch import Watch

BUDGET_MB = 512
SECONDS = 5.0
SETTINGS = {"WARM_UP": "false", "RENDER_MEMORY_MB": str(BUDGET_MB), "RENDER_PROCESSES": "2", "MEMORY_CACHE_MB": "16"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "darkroom.toml").write_text(SIZES)
    with Service(tmp_path, **SETTINGS) as service:
        yield service


def upload(service: Service) -> list[str]:
    pictures = [camera_jpeg(), photograph_bytes("chelsea.png"), photograph_bytes("rocket.jpg")] * 2
    with httpx.Client(base_url=service.url, timeout=60) as client:
        answers = [client.post("/images/upload", files={"image": picture}) for picture in pictures]
    return [answer.json()["uploadId"] for answer in answers]


async def overwhelm(service: Service, ids: list[str], seconds: float) -> tuple[float, Flood]:
    """Returns the capacity in variants a second, and the results of ten times as many requests."""
    paths = cold_paths(ids)
    able = await capacity(service.url, paths, 2)
    hot = next(paths)
    await get(service.url + hot)
    seen = await flood(service.url, paths, hot, 10 * able, seconds)
    await asyncio.sleep(min(max(seen.retry_after, default=0), 30))
    back = [await get(service.url + path) for path in seen.refused[-8:]]
    assert [answer.status for answer in back] == [200] * len(back)  # a client that retries after Retry-After is served
    return able, seen


@pytest.mark.promise("C11")
@pytest.mark.slow
@pytest.mark.serial
def test_flood_of_new_variants_is_served_or_refused_with_retry_after(service: Service) -> None:
    ids = upload(service)
    before = at_rest(service)
    watch = Watch(service.pid, interval=0.05)
    with watch.running():
        able, seen = asyncio.run(overwhelm(service, ids, SECONDS))
    after = at_rest(service)

    assert seen.wrong == []
    assert set(seen.statuses) <= {200, 503, 504}
    # Most are refused, and derivations continue all the time.
    assert seen.statuses[503] > seen.statuses[200] > able * SECONDS / 4
    assert seen.statuses[504] <= seen.statuses[200] / 10
    assert len(seen.hit_seconds) > SECONDS  # no hit or health check was refused
    assert len(seen.health_seconds) > SECONDS / 2
    assert 0 < watch.most < BUDGET_MB << 20
    assert watch.most_itself < 400 << 20
    assert after.files == []
    assert after.descriptors <= before.descriptors + 16
    assert after.tasks <= before.tasks + 4  # a connection that is not closed yet
    assert after.threads <= before.threads + 40  # anyio keeps idle threads for a while, 40 at most
