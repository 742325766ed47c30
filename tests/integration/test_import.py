"""`darkroom import`: killed at any moment, run twice at once, and from every kind of source."""

import asyncio
import csv
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.records import Upload
from tests.http_client import http
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT, Service, command_line, darkroom, environment
from tests.unit.ingest.examples import image_bytes

SIZE = "[sizes.tiny]\nwidth = 24\nheight = 24\n"
Line = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an installation with one small size, beside `photos`."""
    folder = tmp_path / "installation"
    folder.mkdir()
    (folder / "darkroom.toml").write_text(SIZE)
    (tmp_path / "photos").mkdir()
    return folder


def photos(folder: Path, number: int) -> Path:
    """Writes so many different pictures, some of them into a subfolder."""
    photos = folder.parent / "photos"
    (photos / "more").mkdir()
    for i in range(number):
        (photos / ("more" if i % 3 else "") / f"{i}.jpg").write_bytes(image_bytes(120 + i, 110))
    return photos


def lines_of(output: str) -> list[Line]:
    return [json.loads(line) for line in output.splitlines()]


def imported(folder: Path, *arguments: str, code: int = 0, **settings: str) -> dict[str, Line]:
    """Imports to the end. Returns the lines by source, and the totals under an empty name."""
    done = darkroom(folder, "import", "--json", *arguments, **settings)
    assert (done.returncode, done.stderr) == (code, "")
    *lines, totals = lines_of(done.stdout)
    return {line["source"]: line for line in lines} | {"": totals}


@contextmanager
def importing(folder: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """An import that is killed at the end of the block, with its render processes."""
    process = subprocess.Popen(
        command_line("import", "--json", *arguments),
        cwd=folder,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def killed_after(lines: int, folder: Path, *arguments: str, **settings: str) -> list[Line]:
    """Kills an import when it has printed so many lines. Returns them and those that it still printed."""
    with importing(folder, *arguments, **settings) as process:
        assert process.stdout
        printed = [process.stdout.readline() for _ in range(lines)]
        if not lines:  # in the middle of an upload, unless the machine is so busy that this misses all
            while process.poll() is None and not any((folder / "data" / "tmp").glob("*/original")):
                time.sleep(0.001)
    assert process.stdout
    printed += process.stdout.readlines()
    process.stdout.close()
    return [json.loads(line) for line in printed if line.endswith("\n")]


def uploads(folder: Path) -> list[Upload]:
    async def read() -> list[Upload]:
        database = Database(f"sqlite+aiosqlite:///{folder}/data/darkroom.db")
        try:
            return [upload for upload, _ in (await JobRepository(database).newest(1000)).uploads]
        finally:
            await database.close()

    return asyncio.run(read())


@pytest.mark.slow
def test_import_killed_at_any_moment_gives_each_source_one_upload(folder: Path) -> None:
    sources = photos(folder, 14)
    said: list[Line] = []

    for lines in (0, 4, 9):
        said += killed_after(lines, folder, str(sources))
    # Then two at once, to the end.
    with importing(folder, str(sources)) as first, importing(folder, str(sources)) as second:
        outputs = [process.communicate(timeout=100)[0] for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0)
    ends = [lines_of(output) for output in outputs]
    said += [line for *lines, _ in ends for line in lines]

    known = {(line["source"], line["uploadId"]) for line in said}
    assert len(known) == len({source for source, _ in known}) == 14
    assert sum(line["outcome"] == "imported" for line in said) <= 14
    assert all(totals["imported"] + totals["already"] == 14 for *_, totals in ends)
    stored = uploads(folder)
    assert {upload.upload_id for upload in stored} == {upload_id for _, upload_id in known}
    assert len({upload.sha256 for upload in stored}) == len(stored) == 14
    originals = folder / "data" / "objects" / "originals"
    assert all((originals / upload.upload_id).exists() for upload in stored)


@pytest.mark.slow
def test_import_beside_a_server_is_served_and_one_bad_file_stops_no_other(folder: Path) -> None:
    sources = photos(folder, 2)
    (sources / "notes.txt").write_text("not an image, but long enough to be one")
    (sources / ".DS_Store").write_bytes(b"hidden")
    (sources / "link.jpg").symlink_to("/etc/hostname")

    with Service(folder, **PATIENT) as service:
        done = darkroom(folder, "import", str(sources), "--owner", "shop", "--visibility", "private")
        lines = {Path(line["source"]).name: line for line in lines_of(done.stdout)}
        one = f"{service.url}/images/{lines['0.jpg']['uploadId']}"
        shown = http.get(one).json()
        listed = http.get(f"{service.url}/images?owner=shop").json()["images"]
        assert http.delete(one).status_code == 204
        again = imported(folder, str(sources), "--owner", "shop", "--visibility", "private", code=1)

    assert done.returncode == 1
    assert {name: (line["outcome"], line.get("code")) for name, line in lines.items()} == {
        "0.jpg": ("imported", None),
        "1.jpg": ("imported", None),
        "notes.txt": ("refused", "unsupported_format"),
        ".DS_Store": ("ignored", "hidden"),
        "link.jpg": ("ignored", "symbolic_link"),
    }
    assert lines["notes.txt"]["detail"] == "Send a JPEG, PNG or WebP image."
    [*_, summary] = done.stderr.splitlines()
    assert summary == "2 imported, 1 refused, 2 ignored (1 hidden, 1 symbolic link)"
    assert (shown["owner"], shown["visibility"]) == ("shop", "private")
    assert len(listed) == 2
    assert again[f"{sources}/0.jpg"]["code"] == "source_deleted"
    assert again[""] == {
        "imported": 0,
        "new": 0,
        "already": 1,
        "refused": 2,
        "failed": 0,
        "ignored": 2,
        "ignoredBy": {"hidden": 1, "symbolic_link": 1},
    }


def test_csv_of_paths_and_urls_is_imported_with_its_fields(folder: Path) -> None:
    sources = photos(folder, 3)
    rows = [
        ("source", "externalId", "owner"),
        ("0.jpg", "x-0", "shop"),
        ("{url}/more/1.jpg", "x-1", "shop"),
        ("{url}/gone.jpg", "x-2", "shop"),
        ("more/2.jpg", "x-3", "o" * 129),
    ]
    with served(sources) as url:
        with (sources / "list.csv").open("w", newline="") as file:
            csv.writer(file).writerows([cell.format(url=url) for cell in row] for row in rows)
        first = imported(folder, str(sources / "list.csv"), "--allow-private", code=1)
        public = imported(folder, str(sources / "list.csv"), code=1)

    outcomes = {
        line.get("externalId", line["line"]): (line["outcome"], line.get("code"))
        for line in first.values()
        if "line" in line
    }
    assert outcomes == {
        "x-0": ("imported", None),
        "x-1": ("imported", None),
        "x-2": ("failed", "download_failed"),
        5: ("refused", "invalid_field"),
    }
    assert first["more/2.jpg"]["detail"].startswith("Line 5: `owner` must be")
    assert {upload.external_id: upload.upload_id for upload in uploads(folder)} == {
        "x-0": first["0.jpg"]["uploadId"],
        "x-1": first[f"{url}/more/1.jpg"]["uploadId"],
    }
    assert public["0.jpg"] == first["0.jpg"] | {"outcome": "already"}
    assert public[f"{url}/more/1.jpg"]["code"] == "private_address"


@pytest.mark.slow
def test_bucket_is_imported_into_another_and_a_killed_import_continues(folder: Path, seaweedfs: SeaweedServer) -> None:
    own, source = f"own-{uuid4().hex[:12]}", f"source-{uuid4().hex[:12]}"
    for bucket in (own, source):
        seaweedfs.create_bucket(bucket)
    for i in range(6):
        seaweedfs.put(source, f"photos/{i % 2}/a b+{i}.jpg", image_bytes(120 + i, 110), "image/jpeg", "")
    seaweedfs.put(source, "other/x.jpg", image_bytes(), "image/jpeg", "")
    settings = {
        "S3_BUCKET": own,
        "S3_ENDPOINT_URL": seaweedfs.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": seaweedfs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.secret_access_key,
    }

    said = killed_after(2, folder, f"s3://{source}/photos/", **settings)
    lines = imported(folder, f"s3://{source}/photos/", **settings)

    totals = lines.pop("")
    assert lines.keys() == {f"s3://{source}/photos/{i % 2}/a b+{i}.jpg" for i in range(6)}
    assert totals["imported"] + totals["already"] == 6
    assert all(lines[line["source"]]["uploadId"] == line["uploadId"] for line in said)
    ids = {line["uploadId"] for line in lines.values()}
    assert {upload.upload_id for upload in uploads(folder)} == ids
    assert set(seaweedfs.keys(own, "originals/")) >= {f"originals/{upload_id}" for upload_id in ids}


@pytest.mark.slow
def test_wrong_csv_exits_with_2_before_anything_is_imported(folder: Path) -> None:
    (folder / "list.csv").write_text("source,path\na.jpg,b\n")

    done = darkroom(folder, "import", "list.csv")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("The CSV has a column 'path'.")
    assert not (folder / "data" / "objects").exists()


@pytest.mark.slow
def test_import_with_unwritable_standard_output_stops(folder: Path) -> None:
    sources = photos(folder, 1)

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command_line("import", str(sources)),
            cwd=folder,
            env=environment({}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )

    assert done.returncode == 1
    assert "Stopped. To continue, repeat the command.\n" in done.stderr
    assert done.stderr.endswith("Standard output cannot be written: No space left on device.\n")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder by HTTP and yields its URL."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
