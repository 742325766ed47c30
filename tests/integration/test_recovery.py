"""Backups, wrong databases and wrong stores: whatever an operator does, no acknowledged upload is lost."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import chdir, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ingest.cli import app
from proxy.keys import INSTALLATION_KEY
from tests.cluster import TINY, small_picture
from tests.service import darkroom

HOURS_AGO = 7200


class Installation:
    """One in a folder. Its commands run in this process, because a process takes a second to start."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "darkroom.toml").write_text(TINY)
        self.folder = folder
        self.database, self.objects = folder / "data" / "darkroom.db", folder / "data" / "objects"

    def invoke(self, *arguments: str) -> Result:
        with chdir(self.folder):
            return CliRunner(env={"RENDER_PROCESSES": "1"}).invoke(app, [*arguments])

    def run(self, *arguments: str, code: int = 0) -> Any:
        """What it prints as JSON; the error if the settings are wrong."""
        done = self.invoke(*arguments, "--json")
        assert done.exit_code == code, done.output
        if code == 2:
            return done.stderr
        lines = done.stdout.splitlines()
        return [json.loads(line) for line in lines] if arguments[0] == "upload" else json.loads(done.stdout)

    def upload(self, *seeds: int) -> list[str]:
        """Uploads pictures and warms them up."""
        files = []
        for seed in seeds:
            file = self.folder / f"{seed}.jpg"
            file.write_bytes(small_picture(seed))
            files.append(file.name)
        lines = self.run("upload", "--wait", *files)  # two for each file: accepted, then warmed up
        return [*dict.fromkeys(str(one["uploadId"]) for one in lines)]

    def backup(self) -> bytes:
        """The database as one file."""
        with closing(sqlite3.connect(self.database)) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.database.read_bytes()

    def restore(self, backup: bytes | None) -> None:
        for file in self.database.parent.glob("darkroom.db*"):
            file.unlink()
        if backup is not None:
            self.database.write_bytes(backup)

    def make_old(self) -> None:
        """As if everything had been stored hours ago."""
        then = time.time() - HOURS_AGO
        for path in self.objects.rglob("*"):
            os.utime(path, (then, then))

    def stored(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.objects).as_posix(): path.read_bytes()
            for path in self.objects.rglob("*")
            if path.is_file()
        }

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        stored, ids = self.stored(), self.ids()
        yield
        assert self.stored() == stored
        assert self.ids() == ids

    def ids(self) -> set[str]:
        if not self.database.exists():
            return set()
        with closing(sqlite3.connect(self.database)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'upload_jobs'").fetchone():
                return set()
            return {row[0] for row in connection.execute("SELECT upload_id FROM upload_jobs")}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "ours")


@pytest.mark.slow
@pytest.mark.promise("E12")
def test_restored_backup_gc_and_readopt_lose_nothing(installation: Installation) -> None:
    before = installation.upload(1, 2)
    backup = installation.backup()
    after = installation.upload(3, 4)
    documents = {upload_id: installation.run("show", upload_id) for upload_id in (*before, *after)}
    installation.restore(backup)
    installation.make_old()

    with installation.unchanged():
        report = installation.run("gc", code=1)
        found = installation.run("readopt", "--dry-run")

    assert (report["removed"], report["found"]) == (False, [])
    assert report["refused"].startswith("2 of 4 originals in the object store have no row in the database, which has 2")
    assert found == {"found": sorted(after), "known": 0, "failed": [], "failedCount": 0}
    stored = installation.stored()
    assert installation.run("readopt") == {"readopted": sorted(after), "known": 0, "failed": [], "failedCount": 0}
    assert installation.stored() == stored
    assert installation.run("readopt") == {"readopted": [], "known": 0, "failed": [], "failedCount": 0}
    assert installation.run("gc")["found"] == []
    for upload_id, document in documents.items():
        again = installation.run("show", upload_id)
        for shown in (again, document):
            shown.pop("updatedAt")
            for variant in shown["variants"].values():
                variant.pop("milliseconds")
        assert again == document


@pytest.mark.slow
@pytest.mark.promise("E12")
def test_trash_after_a_forced_gc_is_restored(installation: Installation) -> None:
    [kept] = installation.upload(1)
    backup = installation.backup()
    after = sorted(installation.upload(2, 3))
    stored = installation.stored()
    installation.restore(backup)
    installation.make_old()

    report = installation.run("gc", "--max-share", "1")

    assert report["found"] == [{"kind": "orphan", "name": upload_id} for upload_id in after]
    trashed = installation.run("trash")
    assert [one["uploadId"] for one in trashed] == after
    assert {one["daysLeft"] for one in trashed} <= {30.0, 29.9}
    assert {f"trash/{upload_id}" for upload_id in after} < {*installation.stored()}
    refused = installation.run("readopt", after[0], code=1)
    assert refused["failed"] == [
        {"uploadId": after[0], "reason": f"Its original is in the trash: darkroom trash restore {after[0]}"}
    ]

    assert installation.run("trash", "restore", after[0])["restored"] == [after[0]]
    assert installation.run("trash", "restore", "--all")["restored"] == [after[1]]

    assert installation.run("trash") == []
    originals = {key: body for key, body in stored.items() if key.startswith("originals/")}
    assert {key: body for key, body in installation.stored().items() if not key.startswith("images/")} == {
        **originals,
        INSTALLATION_KEY: stored[INSTALLATION_KEY],
    }
    assert {installation.run("show", upload_id)["status"] for upload_id in after} == {"pending"}
    assert installation.run("show", kept)["status"] == "complete"
    unknown = installation.run("trash", "restore", kept.replace(kept[:8], "0" * 8), code=1)
    assert unknown["failed"][0]["reason"] == "There is no original under this id in the trash."


@pytest.mark.slow
@pytest.mark.promise("E12")
def test_empty_database_is_refused_until_it_is_bound(installation: Installation) -> None:
    uploads = installation.upload(1, 2)
    installation_id = (installation.objects / INSTALLATION_KEY).read_bytes().split(b"\n")[1].decode()
    installation.restore(None)
    installation.make_old()

    with installation.unchanged():
        for command in (["gc"], ["gc", "--dry-run"], ["readopt"], ["upload", "1.jpg"], ["purge", uploads[0]]):
            refused = installation.run(*command, code=2)
            assert refused.startswith(
                "Database and object store do not belong together: The database has no installation id, but the object "
                f"store belongs to installation {installation_id}: correct DATABASE_URL"
            )
        sides = installation.run("rebind", code=1)

    assert sides == {
        "database": {"installation": None, "uploads": 0},
        "store": {"installation": installation_id, "originals": 2},
        "matches": False,
        "boundTo": None,
    }
    assert installation.run("rebind", "--yes")["boundTo"] == installation_id
    assert installation.run("rebind")["matches"] is True
    with installation.unchanged():
        assert "which has 0 uploads" in installation.run("gc", code=1)["refused"]
    assert installation.run("readopt")["readopted"] == sorted(uploads)


@pytest.mark.slow
@pytest.mark.promise("E12")
def test_database_of_another_installation_is_refused(installation: Installation, tmp_path: Path) -> None:
    other = Installation(tmp_path / "other")
    other.upload(1)
    [upload_id] = installation.upload(2)
    installation.restore(other.backup())
    installation.make_old()

    with installation.unchanged():
        refused = installation.run("gc", code=2)
        warmed = installation.run("warm", "--all", code=2)
        served, worked = (darkroom(installation.folder, command) for command in ("serve", "worker"))
        checks = {one["name"]: (one["verdict"], one["remark"]) for one in installation.run("doctor", code=1)}

    ids = [(each.objects / INSTALLATION_KEY).read_bytes().split(b"\n")[1].decode() for each in (other, installation)]
    assert f"belongs to installation {ids[0]}, but the object store belongs to installation {ids[1]}" in refused
    assert warmed == served.stderr == worked.stderr == refused
    assert (served.returncode, worked.returncode) == (2, 2)
    assert checks["installation"] == ("failed", refused.partition(": ")[2].strip())
    assert upload_id in {key.partition("/")[2] for key in installation.stored()}
