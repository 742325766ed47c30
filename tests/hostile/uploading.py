"""Sends many files to a real server, requests variants of the accepted ones, and checks its health meanwhile."""

import asyncio
import io
import itertools
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image

from proxy.keys import INSTALLATION_KEY
from tests.hostile.corpus import ACCEPTED, Case
from tests.hostile.polyglots import MARKERS
from tests.service import Service

AT_ONCE = 4
TRIES = 20
SIDES = {"small": 150, "medium": 400}
FORMATS = {
    "jpg": ("JPEG", "image/jpeg"),
    "png": ("PNG", "image/png"),
    "webp": ("WEBP", "image/webp"),
    "avif": ("AVIF", "image/avif"),
}
ALLOWED_INFO = {
    "transparency",  # of a palette: pixels
    "jfif",
    "jfif_version",
    "jfif_unit",
    "jfif_density",
    "progressive",
    "progression",
    "loop",
    "timestamp",
    "background",
    "duration",
}


@dataclass
class Report:
    """Results of all files. `wrong` has a line for each wrong result."""

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    overloads: int = 0
    slowest: tuple[float, str] = (0.0, "")
    health: list[float] = field(default_factory=list)

    def note(self, case: Case, outcome: str, seconds: float) -> None:
        self.outcomes[outcome] += 1
        self.kinds[case.kind] += 1
        self.spent[case.kind] += seconds
        self.slowest = max(self.slowest, (seconds, f"{case.kind}: {case.name}"))
        if outcome not in case.outcomes:
            self.wrong.append(f"{case.kind}: {case.name}: {outcome}, not {' or '.join(sorted(case.outcomes))}")


async def send_all(service: Service, cases: Iterable[Case]) -> Report:
    """Sends `AT_ONCE` files at a time. Cases are made while others are sent."""
    report = Report()
    rotation = itertools.cycle(itertools.product(SIDES, FORMATS))
    source, taking = iter(cases), asyncio.Lock()

    async def sender(client: httpx.AsyncClient) -> None:
        while case := await _next(source, taking):
            upload_id = await _send(client, case, report)
            if upload_id:
                report.accepted.add(upload_id)
                for name in (next(rotation), next(rotation)):
                    await _check_variant(client, upload_id, name, case, report)

    async with httpx.AsyncClient(base_url=service.url, timeout=30, verify=False) as client:
        with _health_watched(service.url, report.health):
            await asyncio.gather(*(sender(client) for _ in range(AT_ONCE)))
    return report


async def _next(source: Iterator[Case], taking: asyncio.Lock) -> Case | None:
    """Makes the next case in a thread: some take seconds, and must not delay the measured responses."""
    async with taking:
        return await asyncio.to_thread(next, source, None)


async def _send(client: httpx.AsyncClient, case: Case, report: Report) -> str | None:
    """Returns the upload's id if it was accepted."""
    files = {"image": (case.filename, case.content, case.media_type)}
    for _ in range(TRIES):
        start = time.monotonic()
        answer = await client.post("/images/upload", files=files)
        if answer.status_code != 503 or not await _told_to_wait(answer, report):
            break
    outcome = ACCEPTED if answer.status_code == 201 else _refusal(answer)
    report.note(case, outcome, time.monotonic() - start)
    return answer.json()["uploadId"] if outcome == ACCEPTED else None


async def _told_to_wait(answer: httpx.Response, report: Report) -> bool:
    if answer.json()["code"] != "overloaded":
        return False
    report.overloads += 1
    await asyncio.sleep(min(2, int(answer.headers["retry-after"])))
    return True


def _refusal(answer: httpx.Response) -> str:
    """Returns the problem's code, or a description of an invalid refusal."""
    if not 400 <= answer.status_code < 500 or answer.headers["content-type"] != "application/problem+json":
        return f"{answer.status_code} {answer.text[:200]}"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return str(problem["code"])


async def _check_variant(
    client: httpx.AsyncClient, upload_id: str, name: tuple[str, str], case: Case, report: Report
) -> None:
    path = "/images/{}/{}.{}".format(upload_id, *name)
    for _ in range(TRIES):
        answer = await client.get(path)
        if answer.status_code != 503 or not await _told_to_wait(answer, report):
            break
    if fault := variant_fault(answer, *name):
        report.wrong.append(f"{case.kind}: {case.name}: {path}: {fault}")


def variant_fault(answer: httpx.Response, size: str, format: str) -> str:
    """Returns the fault of a variant: it must have its size and format, and contain nothing else. Empty if there is
    none.
    """
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text[:200]}"
    kind, media_type = FORMATS[format]
    with Image.open(io.BytesIO(answer.content), formats=[kind]) as image:
        image.load()
        if image.size != (SIDES[size], SIDES[size]):
            return f"is {image.size}"
        if extra := image.info.keys() - ALLOWED_INFO:
            return f"carries {sorted(extra)}"
    if found := [marker for marker in MARKERS if marker in answer.content]:
        return f"contains {found}"
    if (answer.headers["content-type"], answer.headers["x-content-type-options"]) != (media_type, "nosniff"):
        return f"has the headers {dict(answer.headers)}"
    return ""


@contextmanager
def _health_watched(url: str, seconds: list[float]) -> Iterator[None]:
    """Measures in a thread of its own, so that only the server's time counts."""
    stop = threading.Event()

    def watch() -> None:
        with httpx.Client(base_url=url, verify=False) as client:
            while not stop.wait(0.05):
                start = time.monotonic()
                assert client.get("/healthz", timeout=30).status_code == 200
                seconds.append(time.monotonic() - start)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            stop.set()
        watching.result()


def left_behind(folder: Path, accepted: set[str]) -> list[str]:
    """Returns objects, rows and temporary files that belong to no accepted upload."""
    data = folder / "data"
    objects = [path for path in (data / "objects").rglob("*") if path.is_file() and path.name != INSTALLATION_KEY]
    found = [str(path) for path in objects if not accepted & set(path.parts)]
    found += [str(path) for path in (data / "tmp").rglob("*")]
    with closing(sqlite3.connect(f"file:{next(data.glob('*.db'))}?mode=ro", uri=True)) as database:
        for table in ("upload_jobs", "images"):
            rows = {row for (row,) in database.execute(f"SELECT upload_id FROM {table}")}
            found += [f"{table}: {row}" for row in rows - {upload_id.replace("-", "") for upload_id in accepted}]
    return found


def figures(report: Report, server_mb: float, render_mb: float) -> str:
    """Formats the figures for docs/reliability.md."""
    return json.dumps(
        {
            "files": sum(report.outcomes.values()),
            "outcomes": dict(report.outcomes.most_common()),
            "kinds": dict(report.kinds.most_common()),
            "spent": dict(report.spent),
            "overloads": report.overloads,
            "slowest": report.slowest,
            "worst /healthz": max(report.health),
            "server MB": server_mb,
            "render MB": render_mb,
        },
        indent=1,
    )
