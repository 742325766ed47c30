"""The render worker: in this process through its two streams, and as a real process for its start, limit and end."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.model import Format
from proxy.rendering.memory_limits import ENVIRONMENT, resident_bytes
from proxy.rendering.protocol import Requests, encode_message, inspect_request, render_request
from proxy.rendering.worker_main import serve
from tests.conftest import reads
from tests.photographs import photograph, photograph_bytes, photograph_path
from tests.pictures import png
from tests.unit.proxy.imaging.reference import LIMITS, rendered, target

ROCKET = photograph_path("rocket.jpg")
WANTED = [target(400, 400, Format.WEBP), target(150, 150, Format.JPG), target(150, 150, Format.PNG)]
ROOM = 300 << 20  # bytes
COMMAND = [sys.executable, "-P", "-m", "proxy.rendering.worker_main"]

Answer = tuple[dict[str, Any], bytes]


def answers(stream: bytes) -> list[Answer]:
    """Splits `stream` into messages, each with the bytes that follow it."""
    reader, found = BytesIO(stream), []
    while line := reader.readline():
        message = json.loads(line)
        found.append((message, reader.read(message.get("length", 0))))
    return found


class Request(NamedTuple):
    line: bytes
    original: Path | None = None


def send(connection: socket.socket, requests: Sequence[Request]) -> None:
    """Sends all requests, each with its original's descriptor, and ends the stream."""
    for line, path in requests:
        if path is None:
            connection.sendall(line)
        else:
            with path.open("rb") as original:
                assert socket.send_fds(connection, [line], [original.fileno()]) == len(line)
    connection.shutdown(socket.SHUT_WR)


def serve_requests(*requests: Request) -> list[Answer]:
    stream = BytesIO()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, requests)
        serve(Requests(theirs), stream, [], resident_bytes())
    return answers(stream.getvalue())


def run_worker(
    *requests: Request, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[list[Answer], bytes]:
    """Runs a process to its end. Returns its answers, and what it printed."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            worker = subprocess.Popen(
                command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
            )
        with worker, ours.makefile("rb") as stream:
            send(ours, requests)
            answered = answers(stream.read())
            printed, _ = worker.communicate()
    assert worker.returncode == 0, printed
    return answered, printed


def render(path: Path, *targets: Target) -> Request:
    return Request(encode_message(render_request(targets, LIMITS, ROOM)), path)


def inspect_file(path: Path, limits: Limits = LIMITS) -> Request:
    return Request(encode_message(inspect_request(limits, ROOM)), path)


def test_worker_announces_that_it_is_ready() -> None:
    assert serve_requests() == [({"ready": True, "locks": [], "damaged": None}, b"")]


@pytest.mark.heavy
def test_render_request_is_answered_with_files_and_done() -> None:
    ready, *files, done = serve_requests(render(ROCKET, *WANTED))

    assert (ready, done) == (({"ready": True, "locks": [], "damaged": None}, b""), ({"done": True}, b""))
    assert [message["index"] for message, _ in files] == [1, 2, 0]
    expected = rendered(photograph_bytes("rocket.jpg"), *WANTED)
    assert [body for _, body in files] == [expected[1], expected[2], expected[0]]
    assert [set(message) for message, _ in files] == [{"index", "length", "timings"}] * 3


def test_worker_asks_before_each_target() -> None:
    replies = (Request(encode_message({"accepted": index == 2})) for index in (1, 2, 0))
    request = Request(encode_message(render_request(WANTED, LIMITS, ROOM, asks=True)), ROCKET)

    messages = [message for message, _ in serve_requests(request, *replies)]

    assert [message.get("next", message.get("index")) for message in messages[1:-1]] == [1, 2, 2, 0]
    assert messages[-1] == {"done": True}


def test_searched_quality_is_reported_with_its_score() -> None:
    _, fixed, searched, _ = serve_requests(render(ROCKET, WANTED[1], replace(WANTED[1], score=80)))

    assert "measured" not in fixed[0]
    assert set(searched[0]["measured"]) == {"quality", "score"}
    assert searched[0]["measured"]["score"] >= 80
    assert searched[0]["length"] == len(searched[1])


@pytest.mark.slow
def test_numpy_is_imported_only_for_a_quality_search() -> None:
    """The import takes a tenth of a second and 20 MB in every process."""
    code = (
        "import sys, ingest.cli, ingest.web.ingest_app, proxy.rendering.worker_main; sys.exit('numpy' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.heavy
def test_worker_process_without_numpy_renders_fixed_qualities() -> None:
    code = "import sys; sys.modules['numpy'] = None; from proxy.rendering.worker_main import main; main()"
    wanted = [target(24, 24, format) for format in Format]

    answered, printed = run_worker(render(ROCKET, *wanted), command=[sys.executable, "-c", code, "1024"])

    _, *files, done = answered
    assert [body for _, body in files] == rendered(photograph_bytes("rocket.jpg"), *wanted)
    assert (done, printed) == (({"done": True}, b""), b"")


@pytest.mark.slow
@pytest.mark.parametrize("memory_mb", [400, pytest.param(1024, marks=pytest.mark.long)])
def test_render_worker_searches_qualities_within_its_memory_limit(memory_mb: int) -> None:
    wanted = [replace(target(800, 800, format), score=80) for format in (Format.JPG, Format.WEBP, Format.AVIF)]

    answered, printed = run_worker(
        render(ROCKET, *wanted), command=[*COMMAND, str(memory_mb), "--searches"], environment=ENVIRONMENT
    )

    _, *files, done = answered
    assert [message["measured"]["score"] >= 80 for message, _ in files] == [True] * 3
    assert done == ({"done": True}, b"")
    assert printed == b""


def test_inspect_request_is_answered_with_one_message() -> None:
    _, (inspection, _), done = serve_requests(inspect_file(ROCKET))

    assert (inspection["format"], inspection["width"], inspection["height"]) == ("jpeg", 640, 427)
    assert set(inspection) == {
        *("format", "width", "height", "thumbhash", "color", "alpha", "animated", "private", "private_exif")
    }
    assert done == ({"done": True}, b"")


def test_refusal_ends_only_its_own_request(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"BM")

    _, refused, done, file, done_again = serve_requests(render(foreign, *WANTED), render(ROCKET, WANTED[1]))

    assert refused == (
        {"refused": "unsupported_format", "detail": "The file is not an image of a format that this server reads."},
        b"",
    )
    assert file[1] == rendered(photograph_bytes("rocket.jpg"), WANTED[1])[0]
    assert done == done_again == ({"done": True}, b"")


def test_limits_are_taken_from_the_request() -> None:
    strict = Limits(min_side=100, max_side=600)

    _, refused, done = serve_requests(inspect_file(ROCKET, strict))

    assert refused[0]["refused"] == "too_many_pixels"
    assert "640x427" in refused[0]["detail"]
    assert done == ({"done": True}, b"")


@pytest.mark.heavy
def test_worker_process_answers_on_its_socket_and_exits_when_the_socket_closes() -> None:
    answered, printed = run_worker(render(ROCKET, WANTED[1]), command=[*COMMAND, "1024"], environment={})

    _, file, done = answered
    assert file[1] == rendered(photograph_bytes("rocket.jpg"), WANTED[1])[0]
    assert done == ({"done": True}, b"")
    assert printed == b""


@pytest.mark.slow
def test_worker_process_decodes_images_above_pillows_warning_limit(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(
        png(photograph("camera.png").convert("1").resize((10_000, 9_000)))
    )  # Pillow warns above 89 million

    answered, printed = run_worker(inspect_file(large), command=[*COMMAND, "2048"], environment={})

    assert [(message.get("width"), message.get("height")) for message, _ in answered][1] == (10_000, 9_000)
    assert printed == b""


@pytest.mark.heavy
@reads("/proc/self/limits")
def test_worker_process_limits_its_address_space() -> None:
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen([*COMMAND, "512"], stdin=theirs, env={}) as worker, ours.makefile("rb") as stream:
        theirs.close()
        assert json.loads(stream.readline())["ready"]
        limits = Path(f"/proc/{worker.pid}/limits").read_text().splitlines()
        worker.kill()

    address_space = next(line for line in limits if line.startswith("Max address space"))
    assert address_space.split()[3:5] == [str(512 << 20)] * 2
