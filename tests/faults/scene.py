"""Helpers of the fault tests: upload, wait, check health and memory."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from _pytest.mark import ParameterSet

from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.model import Format
from proxy.recipe import Recipes
from proxy.settings import Settings
from tests.client import until
from tests.cluster import small_picture
from tests.faults.judge import MARGIN
from tests.http_client import http
from tests.service import Service
from tests.unit.ingest.examples import SIZES
from tests.waiting import GUARD

PICTURE = small_picture(7)
NAMES = [f"{size}.{format}" for size in ("tiny", "small") for format in ("jpg", "webp", "avif")]
"""The standard variants."""
MORE = [
    *(f"{size}@{scale}x.{format}" for size in ("tiny", "small") for scale in (2, 3) for format in Format),
    "tiny.png",
    "small.png",
]


def by_tier(cases: Mapping[str, Any], *, daily: str = "", long: Collection[str] = ()) -> list[ParameterSet]:
    """Returns parameters by name: `daily` runs every day, `long` in the long run, all others in `.ci/run`."""
    marks = {name: [pytest.mark.long if name in long else pytest.mark.slow] for name in cases} | {daily: []}
    return [pytest.param(case, id=name, marks=marks[name]) for name, case in cases.items()]


def variants_of(original: Path) -> dict[str, bytes]:
    """Returns the correct bytes by name, for the sizes of TINY."""
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
    """Expects 503 in time, with a code and Retry-After."""
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
    """Returns None if it is ready, else the result of each check. It must respond before a load balancer times out."""
    answer = http.get(f"{service.url}/readyz", timeout=3 + MARGIN)
    return None if answer.status_code == 200 else answer.json()["checks"]


def unready(service: Service) -> dict[str, str]:
    """Waits until it is not ready. Returns the result of each check; they run once a second."""
    until(lambda: ready(service) is not None)
    return ready(service) or {}


def process(service: Service, field: str) -> int:
    """Returns a figure of the server process from /proc/PID/status: `VmRSS` in kB, `Threads`."""
    lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def paths(upload_id: str, names: Sequence[str]) -> list[str]:
    return [f"/images/{upload_id}/{name}" for name in names]


def urls(service: Service, upload_id: str, names: list[str]) -> list[str]:
    return [service.url + path for path in paths(upload_id, names)]
