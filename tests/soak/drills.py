"""Kills, an older backup, and a wrong database: `python -m tests.soak.drills [SECONDS] [SEED]`.

Each drill runs on two installations: one server with files and SQLite; a server and a worker over S3, Postgres and
Redis. SECONDS: of the kills. Prints what was done; fails if anything acknowledged is lost.
"""

import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from proxy.keys import INSTALLATION_KEY
from tests.cluster import TINY, Cluster, small_picture
from tests.faults.garbage import collect, digests
from tests.faults.judge import decoded_size
from tests.http_client import http
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT, Service, darkroom
from tests.soak import crashes

WRITING = (
    *(["gc"], ["gc", "--max-share", "1"], ["readopt"], ["trash", "restore", "--all"], ["warm", "--all"], ["refresh"]),
    *(["purge", str(uuid4())], ["upload", "one.jpg"], ["serve"], ["worker"]),
)
REFUSED = 2  # exit code


class Place(Protocol):
    """Where an installation's database is. `folder`: where commands run. `settings`: of the whole installation."""

    folder: Path
    settings: dict[str, str]

    def copy_database(self) -> str:
        """Returns the DATABASE_URL of a copy, which is a backup."""

    def create_database(self) -> str:
        """Returns the DATABASE_URL of a migrated database without rows and installation id."""


class OneServer:
    """Files and SQLite below `folder`."""

    def __init__(self, folder: Path) -> None:
        (folder / "darkroom.toml").write_text(TINY)
        self.folder = folder
        self.settings = {"DATABASE_URL": self._url("darkroom.db"), "RENDER_PROCESSES": "1"}
        migrate(self, self.settings)

    def copy_database(self) -> str:
        name = f"{uuid4().hex}.db"
        with closing(sqlite3.connect(self.folder / "darkroom.db")) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.folder / "darkroom.db", self.folder / name)
        return self._url(name)

    def create_database(self) -> str:
        url = self._url(f"{uuid4().hex}.db")
        migrate(self, self.settings | {"DATABASE_URL": url})
        return url

    def _url(self, name: str) -> str:
        return f"sqlite+aiosqlite:///{self.folder / name}"


class Servers:
    """S3, Postgres and Redis."""

    def __init__(self, cluster: Cluster) -> None:
        (cluster.folder / "darkroom.toml").write_text(TINY)
        self.folder = cluster.machine("all")
        self.settings = cluster.settings
        self._postgres = cluster.postgres

    def copy_database(self) -> str:
        return self._postgres.copy_database(self.settings["DATABASE_URL"])

    def create_database(self) -> str:
        url = self._postgres.create_database()
        migrate(self, self.settings | {"DATABASE_URL": url})
        return url


@dataclass
class Acknowledged:
    """Uploads by id, with the digests of their originals."""

    uploads: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def upload(self, service: Service, *seeds: int) -> None:
        for seed in seeds:
            picture = small_picture(seed)
            answer = http.post(f"{service.url}/images/upload", files={"image": picture})
            assert answer.status_code == 201, answer.text
            self.uploads[answer.json()["uploadId"]] = sha256(picture).hexdigest()

    def delete_first(self, service: Service) -> None:
        upload_id = next(iter(self.uploads))
        assert http.delete(f"{service.url}/images/{upload_id}").status_code == 204
        del self.uploads[upload_id]
        self.deleted.append(upload_id)

    def check(self, place: Place, settings: dict[str, str]) -> None:
        """Every upload has its original, its rows and its variants; deleted ones have nothing."""
        stored = digests(place.folder, **settings)
        originals = {key: digest for key, digest in stored.items() if key.startswith("originals/")}
        assert originals == {f"originals/{upload_id}": digest for upload_id, digest in self.uploads.items()}
        with Service(place.folder, **settings | PATIENT) as service:
            for upload_id in self.uploads:
                assert http.get(f"{service.url}/images/{upload_id}").status_code == 200, upload_id
                answer = http.get(f"{service.url}/images/{upload_id}/small.webp")
                assert (answer.status_code, decoded_size(answer.content)) == (200, (48, 48)), upload_id
            for upload_id in self.deleted:
                assert http.get(f"{service.url}/images/{upload_id}/small.webp").status_code == 404, upload_id


def restore(place: Place) -> int:
    """Uploads, a backup, more uploads and a deletion, the backup restored; then `gc` and `readopt`, twice: once as an
    operator should, once after a `gc` without a limit that takes everything for old. Returns the number of uploads.
    """
    acknowledged = Acknowledged()
    with Service(place.folder, **place.settings | PATIENT) as service:
        acknowledged.upload(service, 1, 2, 3)
    careful, careless = [place.settings | {"DATABASE_URL": place.copy_database()} for _ in range(2)]
    with Service(place.folder, **place.settings | PATIENT) as service:
        acknowledged.upload(service, 4, 5)
        acknowledged.delete_first(service)
    newer = sorted([*acknowledged.uploads][-2:])

    assert run(place, careful, "gc")["found"] == []  # what was stored within the hour is left alone
    assert run(place, careful, "readopt", "--dry-run")["found"] == newer
    assert run(place, careful, "readopt")["readopted"] == newer
    collect(place.folder, **careful)  # the rows of the deleted upload
    acknowledged.check(place, careful)

    assert collect(place.folder, **careless)["orphan"] == len(newer)
    assert run(place, careless, "trash", "restore", "--all")["restored"] == newer
    acknowledged.check(place, careless)
    return len(acknowledged.uploads)


def rebind(place: Place, wrong_databases: Sequence[str]) -> int:
    """With each wrong database, the commands refuse the pair and change nothing. Once it is bound, `readopt` brings all
    uploads back. Returns the number of refusals.
    """
    acknowledged = Acknowledged()
    (place.folder / "one.jpg").write_bytes(small_picture(1))
    with Service(place.folder, **place.settings | PATIENT) as service:
        acknowledged.upload(service, 1, 2)
    refusals = 0
    for url in wrong_databases:
        wrong = place.settings | {"DATABASE_URL": url}
        with unchanged(place, wrong):
            for command in WRITING:
                done = darkroom(place.folder, *command, **wrong)
                assert done.returncode == REFUSED, (command, done.stdout, done.stderr)
                assert "Database and object store do not belong together" in done.stderr, command
                refusals += 1
            assert run(place, wrong, "rebind", code=1)["matches"] is False
        assert run(place, wrong, "rebind", "--yes")["boundTo"]
        assert set(run(place, wrong, "readopt")["readopted"]) == set(acknowledged.uploads)
        collect(place.folder, **wrong)  # rows of the other installation
        acknowledged.check(place, wrong)
    return refusals


@contextmanager
def unchanged(place: Place, settings: dict[str, str]) -> Iterator[None]:
    before = digests(place.folder, **place.settings), rows(place, settings)
    yield
    assert (digests(place.folder, **place.settings), rows(place, settings)) == before


def rows(place: Place, settings: dict[str, str]) -> int:
    return int(run(place, settings, "rebind", code=1)["database"]["uploads"])


def run(place: Place, settings: dict[str, str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """Returns what the command prints as JSON."""
    done = darkroom(place.folder, *arguments, "--json", **settings)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def migrate(place: Place, settings: dict[str, str]) -> None:
    done = darkroom(place.folder, "migrate", **settings)
    assert done.returncode == 0, done.stderr


@contextmanager
def database_of_another(place: Place) -> Iterator[str]:
    """The DATABASE_URL of an installation with a folder of its own, and one upload."""
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), place.create_database()
        (folder / "darkroom.toml").write_text(TINY)
        with Service(folder, DATABASE_URL=url, **PATIENT) as service:
            Acknowledged().upload(service, 9)
        assert (folder / "data" / "objects" / INSTALLATION_KEY).exists()
        yield url


def drill(name: str, place: Place) -> None:
    print(f"{name}, an older backup restored: {restore(place)} uploads, none lost", flush=True)


def drill_binding(name: str, place: Place) -> None:
    with database_of_another(place) as other:
        refusals = rebind(place, [place.create_database(), other])
    print(f"{name}, wrong databases: {refusals} commands refused, all uploads back", flush=True)


def main(seconds: float, seed: int) -> None:
    with tempfile.TemporaryDirectory() as restored, tempfile.TemporaryDirectory() as bound:
        drill("one server", OneServer(Path(restored)))
        drill_binding("one server", OneServer(Path(bound)))
    with RedisServer() as redis, PostgresServer() as postgres, SeaweedServer() as seaweedfs:
        for each in (drill, drill_binding):
            with tempfile.TemporaryDirectory() as folder:
                each("servers", Servers(Cluster.create(Path(folder), redis, postgres, seaweedfs)))
    crashes.main(seconds, seed)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
