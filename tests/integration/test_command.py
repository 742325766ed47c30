"""The `darkroom` command as people and scripts use it: real processes and files."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.web.openapi import describe
from proxy.settings import Settings
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.service import PATIENT, Service, darkroom, darkroom_without_numpy, environment
from tests.unit.ingest.examples import image_bytes

PROGRAM = str(Path(sys.executable).with_name("darkroom"))
FORMATS = ("jpg", "webp", "avif")  # of the warm-up of an opaque upload
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SIZE = "[sizes.tiny]\nwidth = 24\nheight = 24\n[sizes.thumb]\nwidth = 60\nheight = 40\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings for two small sizes, two images, and files that are none."""
    (tmp_path / "darkroom.toml").write_text(SIZE)
    (tmp_path / "rocket.jpg").write_bytes(photograph_bytes("rocket.jpg"))
    (tmp_path / "small.png").write_bytes(image_bytes(format="png"))
    (tmp_path / "notes.txt").write_text("not a picture, but long enough to be one")
    (tmp_path / "huge.jpg").write_bytes(image_bytes() + bytes(1 << 20))
    return tmp_path


def uploaded(folder: Path, *arguments: str, **settings: str) -> list[dict[str, object]]:
    done = darkroom(folder, "upload", "--json", *arguments, **settings)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_stored_files_are_private(folder: Path) -> None:
    uploaded(folder, "small.png")

    paths = [folder / "data", *(folder / "data").rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o700"}
    files = [path for path in paths if path.is_file()]
    assert any(path.parent.name == "originals" for path in files)
    assert {oct(path.stat().st_mode & 0o777) for path in files} <= {"0o600", "0o400"}


@pytest.mark.slow
def test_upload_command_names_refused_files_with_the_reason(folder: Path) -> None:
    files = ["rocket.jpg", "notes.txt", "gone.jpg", "huge.jpg", ".", "small.png"]

    done = darkroom(folder, "upload", *files, MAX_UPLOAD_MB="1", CDN_URL="https://cdn.example")

    assert done.returncode == 1
    rows = re.findall(rf"^ ?(\S+) +(\S+ \S+) +(\w+) +({UUID}) *\n +(\S+) *$", done.stdout, re.MULTILINE)
    assert [(file, format) for file, _, format, *_ in rows] == [("rocket.jpg", "jpeg"), ("small.png", "png")]
    assert rows[0][1] == "61.2 kB"
    assert [url for *_, url in rows] == [f"https://cdn.example/images/{row[3]}/thumb.jpg" for row in rows]
    refused = dict(line.split(": ", 1) for line in done.stderr.splitlines())
    assert list(refused) == ["notes.txt", "gone.jpg", "huge.jpg", "."]
    assert refused["notes.txt"] == "Send a JPEG, PNG or WebP image."
    assert refused["gone.jpg"] == "The file cannot be read: No such file or directory."
    assert refused["huge.jpg"].startswith("The image may have at most 1 MB.")
    assert refused["."] == "The file cannot be read: Is a directory."
    assert list((folder / "data" / "tmp").iterdir()) == []


def test_upload_wait_json_matches_the_api(folder: Path) -> None:
    with Service(folder, PUBLIC_URL="https://pictures.example", **PATIENT) as service:
        stored, mine, *small = uploaded(
            folder, "--wait", "rocket.jpg", "small.png", PUBLIC_URL="https://pictures.example"
        )
        shown = http.get(f"{service.url}/images/{mine['uploadId']}").json()
        status = http.get(f"{service.url}/images/{mine['uploadId']}/status").json()
        theirs = http.post(f"{service.url}/images/upload", files={"image": photograph_bytes("rocket.jpg")}).json()

    assert mine == {"file": "rocket.jpg", **shown}
    assert stored == {name: value for name, value in mine.items() if name in stored} | {"status": "pending"}
    assert [(line["file"], line["status"]) for line in small] == [("small.png", "pending"), ("small.png", "complete")]
    assert (status["status"], status["progress"], mine["status"]) == ("complete", 100, "complete")
    for name in ("format", "originalSize", "dimensions", "placeholder"):
        assert mine[name] == theirs[name]


@pytest.mark.slow
def test_sizes_of_fixed_quality_need_no_numpy(folder: Path) -> None:
    done = darkroom_without_numpy(folder, "upload", "--wait", "--json", "rocket.jpg")

    assert (done.returncode, done.stderr) == (0, "")
    _, upload = map(json.loads, done.stdout.splitlines())
    assert upload["status"] == "complete"
    stored = {path.name for path in (folder / "data" / "objects" / "images" / upload["uploadId"]).iterdir()}
    assert stored >= {f"{size}.{format}" for size in ("tiny", "thumb") for format in FORMATS}


@pytest.mark.slow
def test_upload_json_has_the_answer_of_each_file(folder: Path) -> None:
    """Refused and accepted files, standard input, and a file name that is not valid text."""
    odd = os.fsdecode(b"caf\xe9.jpg")
    (folder / odd).write_bytes(image_bytes())

    done = subprocess.run(
        [PROGRAM, "upload", "--json", "notes.txt", "small.png", odd, "-"],
        cwd=folder,
        env=environment({}),
        input=(folder / "rocket.jpg").read_bytes(),
        capture_output=True,
        check=False,
    )

    refused, png, named, given = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (1, b"")
    assert refused == {
        "file": "notes.txt",
        "code": "unsupported_format",
        "title": "Not an image of an accepted format",
        "detail": "Send a JPEG, PNG or WebP image.",
    }
    assert png.keys() == {
        "file",
        *describe(Settings(), variants=True)["components"]["schemas"]["Created"]["properties"].keys() - {"receipt"},
    }
    assert (png["format"], png["status"]) == ("png", "pending")
    assert named["file"] == "caf\N{REPLACEMENT CHARACTER}.jpg"
    assert (given["file"], given["originalSize"]) == ("-", (folder / "rocket.jpg").stat().st_size)


@pytest.mark.slow
def test_upload_command_refuses_a_terminal_as_standard_input(folder: Path) -> None:
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [PROGRAM, "upload", "-"],
            cwd=folder,
            env=environment({}),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "-: Standard input is a terminal. Redirect an image to it with < or |.\n"


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Restores the default handler of SIGINT: processes in a shell's background inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_upload_command_lists_accepted_files(folder: Path, signum: signal.Signals, code: int) -> None:
    with (
        heeding_interrupts(),
        subprocess.Popen(
            [PROGRAM, "upload", "--json", "rocket.jpg", "-"],
            cwd=folder,
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program,
    ):
        assert program.stdin is not None
        assert program.stdout is not None
        document = json.loads(program.stdout.readline())  # the second file waits for its input
        program.send_signal(signum)
        out, err = program.communicate(timeout=30)

    assert (program.returncode, out, err) == (code, "", "")
    assert document["file"] == "rocket.jpg"
    assert darkroom(folder, "show", str(document["uploadId"])).returncode == 0


@pytest.mark.slow
def test_show_lists_variants_and_stale_ones(folder: Path) -> None:
    _, document = uploaded(folder, "--wait", "rocket.jpg")
    upload_id = document["uploadId"]
    assert document["status"] == "complete"
    variants = json.loads(darkroom(folder, "show", "--json", upload_id).stdout)["variants"]
    assert set(variants) == {f"{size}.{format}" for size in ("tiny", "thumb") for format in FORMATS}
    assert {(known["state"], known["stale"]) for known in variants.values()} == {("stored", False)}
    (folder / "darkroom.toml").write_text(SIZE.replace("40", "45"))

    shown = darkroom(folder, "show", upload_id, CDN_URL="https://cdn.example")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"Upload    {upload_id}\nOriginal  640x427 jpeg, 61.2 kB, of " in shown.stdout
    assert "Status    complete, 100 %\n" in shown.stdout
    rows = dict(re.findall(r"^ ?(\w+\.\w+) +stored +.* (current|stale) *$", shown.stdout, re.MULTILINE))
    assert rows == {
        f"{size}.{format}": recipe for size, recipe in (("tiny", "current"), ("thumb", "stale")) for format in FORMATS
    }
    assert shown.stdout.endswith(f"URLs: https://cdn.example/images/{upload_id}/VARIANT\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("upload_id", "code", "reason"),
    [
        ("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", 1, "No such upload: No image was uploaded under this id"),
        pytest.param("8F14E45F-CEEA-467F-A8B3-2F1C0F5B8E2A", 2, "is not an upload id", marks=pytest.mark.slow),
        ("../../etc/passwd", 2, "is not an upload id"),
    ],
)
def test_show_of_an_unknown_id_fails_with_the_reason(tmp_path: Path, upload_id: str, code: int, reason: str) -> None:
    shown = darkroom(tmp_path, "show", upload_id)

    assert (shown.returncode, shown.stdout) == (code, "")
    assert reason in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["gc"],
        *(
            pytest.param(arguments, marks=pytest.mark.slow)
            for arguments in (
                ["warm", "--all"],
                ["refresh", "--dry-run"],
                ["purge", "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"],
            )
        ),
    ],
)
def test_command_in_a_new_folder_succeeds(tmp_path: Path, arguments: list[str]) -> None:
    done = darkroom(tmp_path, *arguments)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["doctor", pytest.param("gc", marks=pytest.mark.slow)])
def test_unusable_folder_is_reported_without_a_traceback(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_bytes(b"")

    done = darkroom(tmp_path, command, DATA_DIR="file/data")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Database unavailable: User {os.getuid()}, group {os.getgid()} cannot write to file/data (Not a directory): "
        "let this user write there, or set DATA_DIR to another folder.\n"
    )


@pytest.mark.slow
def test_migrate_reports_both_revisions(tmp_path: Path) -> None:
    first, second, third = (darkroom(tmp_path, "migrate", *options) for options in (["--json"], [], ["--json"]))

    revision = json.loads(first.stdout)["after"]
    assert json.loads(first.stdout) == {"before": None, "after": revision}
    assert second.stdout == f"The database is up to date, at revision {revision}.\n"
    assert json.loads(third.stdout) == {"before": revision, "after": revision}


@pytest.mark.slow
def test_warm_from_begins_at_that_upload(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(image_bytes())
    ids = sorted(str(one["uploadId"]) for one in uploaded(folder, "a.jpg", "a.jpg"))

    done = darkroom(folder, "warm", "--all", "--from", ids[1], "--json")

    assert json.loads(done.stdout) == {"complete": 1, "failed": [], "failedCount": 0, "skipped": 0, "unknown": []}
    assert json.loads(darkroom(folder, "warm", "--missing", "--from", ids[1], "--json").stdout)["complete"] == 0
    assert json.loads(darkroom(folder, "warm", "--missing", "--json").stdout)["complete"] == 1


@pytest.mark.slow
def test_warm_from_with_ids_is_refused(folder: Path) -> None:
    upload_id = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"

    done = darkroom(folder, "warm", upload_id, "--from", upload_id)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--from goes with --all and --missing" in done.stderr
