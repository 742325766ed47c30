"""What the tests of faults do over and over: upload, wait, look at health and memory."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from tests.cluster import TINY, small_picture
from tests.faults.judge import MARGIN
from tests.http_client import http
from tests.service import Service

PICTURE = small_picture(7)
NAMES = [f"{size}.{format}" for size in ("tiny", "small") for format in ("jpg", "png", "webp", "avif")]
MORE = [
    f"{size}@{scale}x.{format}"
    for size in ("tiny", "small")
    for scale in (2, 3)
    for format in ("jpg", "png", "webp", "avif")
]
GUARD = 45.0  # seconds until a test gives up waiting for what should happen


def variants_of(folder: Path) -> dict[str, bytes]:
    """The right bytes by name, of a server that nothing ever befell."""
    folder.mkdir()
    (folder / "darkroom.toml").write_text(TINY)
    with Service(folder, WARM_UP="false", RENDER_PROCESSES="2") as service:
        path = f"{service.url}/images/{uploaded(service)}"
        return {name: http.get(f"{path}/{name}", timeout=GUARD).raise_for_status().content for name in NAMES + MORE}


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


def until(condition: Callable[[], object], seconds: float = GUARD) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds:g} s"
        time.sleep(0.05)


def status(service: Service, upload_id: str) -> str:
    return str(http.get(f"{service.url}/images/{upload_id}/status", timeout=GUARD).json()["status"])


def complete(service: Service, *upload_ids: str) -> bool:
    return all(status(service, upload_id) == "complete" for upload_id in upload_ids)


def process(service: Service, field: str) -> int:
    """A figure of the server's own, of /proc/PID/status: `VmRSS` in kB, `Threads`."""
    lines = Path(f"/proc/{service.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def paths(upload_id: str, names: Sequence[str]) -> list[str]:
    return [f"/images/{upload_id}/{name}" for name in names]
