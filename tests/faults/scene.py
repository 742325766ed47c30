"""What the tests of faults do over and over: upload, wait, look at health and memory."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from _pytest.mark import ParameterSet

from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.recipe import Recipes
from proxy.settings import Settings
from tests.client import GUARD, until
from tests.cluster import small_picture
from tests.faults.judge import MARGIN
from tests.http_client import http
from tests.service import Service
from tests.unit.ingest.examples import SIZES

PICTURE = small_picture(7)
NAMES = [f"{size}.{format}" for size in ("tiny", "small") for format in ("jpg", "png", "webp", "avif")]
MORE = [
    f"{size}@{scale}x.{format}"
    for size in ("tiny", "small")
    for scale in (2, 3)
    for format in ("jpg", "png", "webp", "avif")
]


def by_tier(cases: Mapping[str, Any], *, daily: str = "", long: Collection[str] = ()) -> list[ParameterSet]:
    """Parameters by name: one for every day, those of the long run, and the others, which `.ci/run` takes."""
    marks = {name: [pytest.mark.long if name in long else pytest.mark.slow] for name in cases} | {daily: []}
    return [pytest.param(case, id=name, marks=marks[name]) for name, case in cases.items()]


def variants_of(original: Path) -> dict[str, bytes]:
    """The right bytes by name, of sizes as in TINY."""
    names = NAMES + MORE
    recipes = Recipes(Settings())
    variants = [variant for name in names if (variant := SIZES.parse(name))]
    rendered = render(original, [recipes.target(variant) for variant in variants], Limits(100, 10_000))
    return {names[one.index]: one.body for one in rendered}


def upload(service: Service, picture: bytes = PICTURE, timeout: float = GUARD) -> httpx.Response:
    return http.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", picture)}, timeout=timeout)


def uploaded(service: Service) -> str:
    answer = upload(service)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def refused_upload(service: Service, code: str, *, within: float) -> None:
    """503, in time, with a reason and a time to come again."""
    start = time.monotonic()
    answer = upload(service, timeout=within + MARGIN)
    seconds = time.monotonic() - start
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) >= 1
    assert seconds < within, f"an upload was refused after {seconds:.1f} s"


def alive(service: Service) -> bool:
    return http.get(f"{service.url}/healthz", timeout=MARGIN).status_code == 200


def ready(service: Service) -> dict[str, str] | None:
    """None if it is, or what it says of each part; it answers before a load balancer gives up."""
    answer = http.get(f"{service.url}/readyz", timeout=3 + MARGIN)
    return None if answer.status_code == 200 else answer.json()["checks"]


def unready(service: Service) -> dict[str, str]:
    """What it says of each part as soon as it is not ready: its checks run once a second."""
    until(lambda: ready(service) is not None)
    return ready(service) or {}


def process(service: Service, field: str) -> int:
    """A figure of the server's own, of /proc/PID/status: `VmRSS` in kB, `Threads`."""
    lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def paths(upload_id: str, names: Sequence[str]) -> list[str]:
    return [f"/images/{upload_id}/{name}" for name in names]
