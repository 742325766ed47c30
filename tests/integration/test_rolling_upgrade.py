"""This version beside a newer one, and after it: on tables that a newer migration has expanded."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.client import upload
from tests.cluster import small_picture
from tests.http_client import http
from tests.newer_schema import EXPAND, REVISION
from tests.service import Service, darkroom


def migrate_further(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data" / "darkroom.db", timeout=30)) as database, database:
        for statement in EXPAND:
            database.execute(statement)


@pytest.mark.slow
def test_server_goes_on_during_a_newer_migration_and_starts_again_after_it(tmp_path: Path) -> None:
    with Service(tmp_path, WARM_UP="false") as service:
        before = upload(service, small_picture(1))
        migrate_further(tmp_path)

        assert http.get(f"{service.url}/readyz").status_code == 200
        during = upload(service, small_picture(2))
        assert http.delete(f"{service.url}/images/{before}").status_code == 204
        service.stop()

        service.start()  # rolled back
        assert http.get(f"{service.url}/images/{during}").status_code == 200
        upload(service, small_picture(3))


@pytest.mark.slow
def test_migrate_and_doctor_name_the_newer_revision(tmp_path: Path) -> None:
    assert darkroom(tmp_path, "migrate").returncode == 0
    migrate_further(tmp_path)

    migrated = darkroom(tmp_path, "migrate")
    judged = darkroom(tmp_path, "doctor", "--json")

    assert migrated.returncode == 0
    assert (
        migrated.stdout
        == f"The database is at revision {REVISION} of a newer Darkroom, with which this version works.\n"
    )
    [database] = [each for each in json.loads(judged.stdout) if each["name"] == "database"]
    assert database["verdict"] == "ok"
    assert REVISION in database["remark"]


@pytest.mark.slow
def test_migrate_refuses_a_revision_that_it_cannot_use(tmp_path: Path) -> None:
    assert darkroom(tmp_path, "migrate").returncode == 0
    with closing(sqlite3.connect(tmp_path / "data" / "darkroom.db", timeout=30)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999_from_9998'")

    done = darkroom(tmp_path, "migrate")

    assert (done.returncode, done.stdout) == (1, "")
    assert "revision 9999_from_9998, made by a newer Darkroom" in done.stderr
    assert "run the newer version" in done.stderr
