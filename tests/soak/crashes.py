"""Uploads, requests and deletions while processes are killed at random: `python -m tests.soak.crashes [SECONDS]
[SEED]`.

First one server with files and SQLite, then a server and a worker over S3, Postgres and Redis. Prints the results;
fails if anything acknowledged is lost, incomplete or changed.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx

from proxy.keys import INSTALLATION_KEY
from tests.cluster import TINY, Cluster, small_picture
from tests.faults.garbage import collect, digests
from tests.faults.judge import decoded_size
from tests.http_client import http
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Program, Service

PICTURES = [small_picture(seed) for seed in range(5)]
SIDES = {"tiny": 24, "small": 48}
VARIANTS = [f"{size}.{format}" for size in SIDES for format in ("jpg", "png", "webp", "avif")]
STANDARD = [name for name in VARIANTS if not name.endswith(".png")]
"""What a warm-up derives of an opaque upload."""
CALLERS = 3
PATIENCE = 90.0  # seconds for jobs to end


@dataclass
class Record:
    """All responses. `bodies` of variants, by image and name: the same for all uploads of an image, at all times."""

    uploads: dict[str, int] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    """Started, perhaps completed."""
    deleted: set[str] = field(default_factory=set)
    bodies: dict[tuple[int, str], bytes] = field(default_factory=dict)
    answers: int = 0
    kills: int = 0
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def standing(self) -> list[str]:
        return [upload_id for upload_id in self.uploads if upload_id not in self.deletes]


class Caller:
    """Sends random requests, one after another. A broken connection counts as no response."""

    def __init__(self, service: Service, record: Record, rng: random.Random) -> None:
        self._service, self._record, self._rng = service, record, rng

    def run(self, stopped: Callable[[], bool]) -> None:
        while not stopped():
            act = self._rng.choices([self._upload, self._get, self._delete], [4, 8, 1])[0]
            try:
                act()
            except httpx.TransportError:
                time.sleep(0.05)
            except Exception as error:  # otherwise a thread would end silently
                self._record.faults.append(repr(error))

    def _upload(self) -> None:
        number = self._rng.randrange(len(PICTURES))
        answer = http.post(
            f"{self._service.url}/images/upload", files={"image": ("p.jpg", PICTURES[number])}, timeout=30
        )
        if self._expect(answer, 201) == 201:
            with self._record.lock:
                self._record.uploads[answer.json()["uploadId"]] = number

    def _get(self) -> None:
        with self._record.lock:
            standing = self._record.standing
        if standing:
            upload_id, name = self._rng.choice(standing), self._rng.choice(VARIANTS)
            answer = http.get(f"{self._service.url}/images/{upload_id}/{name}")
            missing = upload_id in self._record.deletes
            if self._expect(answer, *[404] * missing, 200) == 200:
                note(self._record, upload_id, name, answer.content)

    def _delete(self) -> None:
        with self._record.lock:
            standing = self._record.standing
            if len(standing) < 5:
                return
            upload_id = self._rng.choice(standing)
            self._record.deletes.add(upload_id)
        answer = http.delete(f"{self._service.url}/images/{upload_id}")
        if self._expect(answer, 204) == 204:
            self._record.deleted.add(upload_id)

    def _expect(self, answer: httpx.Response, *statuses: int) -> int:
        self._record.answers += 1
        assert answer.status_code in (*statuses, 503, 504), f"{answer.request.url}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500 or answer.headers["cache-control"] == "no-store"
        return answer.status_code


def note(record: Record, upload_id: str, name: str, body: bytes) -> None:
    """Checks that the body has its size, decodes completely, and equals the bytes of earlier responses."""
    side = SIDES[name.partition(".")[0]]
    assert decoded_size(body) == (side, side), f"{upload_id}/{name} is not {side} pixels wide"
    first = record.bodies.setdefault((record.uploads[upload_id], name), body)
    assert body == first, f"{upload_id}/{name} is not what it was"


def crash(service: Service, programs: Sequence[Program], seconds: float, seed: int) -> Record:
    """Kills `programs`, including the server, in turn while callers send requests, each at least once and the server
    twice, even if a busy machine restarts slowly. At the end, all programs run.
    """
    record, rng, stopped = Record(), random.Random(seed), threading.Event()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(CALLERS) as pool:
        for number in range(CALLERS):
            caller = Caller(service, record, random.Random(f"{seed} {number}"))
            pool.submit(caller.run, stopped.is_set)
        try:
            while time.monotonic() < end or record.kills < len(programs) + 1:
                time.sleep(rng.uniform(0.2, 2.5))
                program = programs[record.kills % len(programs)]
                program.kill()
                record.kills += 1
                program.start()
        finally:
            stopped.set()
    return record


def judge(service: Service, record: Record, home: Path, settings: dict[str, str]) -> None:
    """Checks the results while everything runs again."""
    assert record.faults == []
    until_ended(service, record.standing)
    complete = digests(home, **settings)  # before any request: the stored variants of complete jobs
    for upload_id in record.standing:
        for name in VARIANTS:
            is_stored = f"images/{upload_id}/{name}" in complete
            assert is_stored or name not in STANDARD, "a job is complete without its variant"
            answer = http.get(f"{service.url}/images/{upload_id}/{name}")
            assert answer.status_code == 200, answer.text
            note(record, upload_id, name, answer.content)
    for upload_id in record.deleted:
        assert http.get(f"{service.url}/images/{upload_id}").status_code == 404
        assert http.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 404
    service.stop()

    collect(home, **settings)
    assert not collect(home, **settings), "what gc has removed is found again"
    stored = digests(home, **settings)
    for upload_id in record.standing:
        assert stored[f"originals/{upload_id}"] == sha256(PICTURES[record.uploads[upload_id]]).hexdigest()
        for name in VARIANTS:
            body = record.bodies[record.uploads[upload_id], name]
            assert stored[f"images/{upload_id}/{name}"] == sha256(body).hexdigest()
    known = {key.split("/")[1] for key in stored if key != INSTALLATION_KEY}
    assert known.isdisjoint(record.deleted)
    assert not [*(home / "data" / "tmp").glob("*")]


def until_ended(service: Service, upload_ids: Sequence[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    for upload_id in upload_ids:
        while (state := http.get(f"{service.url}/images/{upload_id}/status").json())["progress"] < 100:
            assert state["status"] != "failed", state
            assert time.monotonic() < deadline, f"a job did not end within {PATIENCE:g} s: {state}"
            time.sleep(0.1)


def crash_one(folder: Path, seconds: float, seed: int) -> Record:
    (folder / "darkroom.toml").write_text(TINY)
    with Service(folder, RENDER_PROCESSES="1") as service:
        record = crash(service, [service], seconds, seed)
        judge(service, record, folder, {})
    return record


def crash_cluster(cluster: Cluster, seconds: float, seed: int) -> Record:
    (cluster.folder / "darkroom.toml").write_text(TINY)
    with ExitStack() as stack:
        service = stack.enter_context(cluster.serve(WARM_UP="false"))
        worker = stack.enter_context(cluster.worker())
        record = crash(service, [service, worker], seconds, seed)
        judge(service, record, service.folder, cluster.settings)
    return record


def main(seconds: float, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report("one server", crash_one(Path(folder), seconds, seed))
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as redis,
        PostgresServer() as postgres,
        SeaweedServer() as seaweedfs,
    ):
        cluster = Cluster.create(Path(folder), redis, postgres, seaweedfs)
        report("server and worker", crash_cluster(cluster, seconds, seed))


def report(what: str, record: Record) -> None:
    print(
        f"{what}: {record.kills} kills, {record.answers} answers, {len(record.uploads)} uploads acknowledged, "
        f"{len(record.deleted)} deletions: nothing lost, nothing half, nothing else than it was",
        flush=True,
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
