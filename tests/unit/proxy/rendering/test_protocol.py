"""The protocol between the server and its render workers."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.imaging.limits import Limits
from proxy.model import ColorSpace, Fit, Format, Watermark, WatermarkPosition
from proxy.rendering.protocol import (
    Requests,
    decode_message,
    encode_message,
    inspect_request,
    parse_targets,
    render_request,
    watermarks_message,
)
from tests.unit.proxy.imaging.reference import LIMITS, target

TARGETS = [
    target(150, 150, Format.JPG),
    target(400, None, Format.PNG, fit=Fit.INSIDE, keep_exif=True),
    target(None, 800, Format.AVIF, fit=Fit.INSIDE, background="#204060"),
    target(2400, 2400, Format.WEBP),
    replace(target(400, 400, Format.JPG), score=80.5),
    replace(target(400, 400, fit=Fit.PAD), enlarge=False, grayscale=True, blur=0.75),
    replace(target(400, 400), sharpen=0.5),
    replace(target(400, 400, Format.WEBP), animated=True),
    replace(target(400, 400), color_space=ColorSpace.DISPLAY_P3),
    replace(target(400, 400), watermark=Watermark("a" * 64, 600, WatermarkPosition.TOP, 0.5, 0.1)),
]


def test_render_request_survives_the_round_trip() -> None:
    message = decode_message(encode_message(render_request(TARGETS, LIMITS, 5)))

    assert Limits(**message["limits"]) == LIMITS
    assert message["memory"] == 5
    assert parse_targets(message) == TARGETS
    assert type(parse_targets(message)[-1].watermark.position) is WatermarkPosition
    for one in parse_targets(message):
        assert (type(one.fit), type(one.format), type(one.color_space)) == (Fit, Format, ColorSpace)


def test_inspect_request_has_no_targets_and_no_path() -> None:
    message = decode_message(encode_message(inspect_request(LIMITS, 5)))

    assert message == {"limits": {"min_side": 100, "max_side": 10_000}, "memory": 5}


def test_message_is_one_line() -> None:
    line = encode_message({"detail": "two\nlines\r\n", "code": "\u2028"})

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_message(line) == {"detail": "two\nlines\r\n", "code": "\u2028"}


@pytest.mark.parametrize("line", [b"", b"\n", b"[]", b"null", b"1", b'"done"', b"{", b"\xff\xfe", b'{"a": 1} {"b": 2}'])
def test_line_that_is_not_one_object_raises_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_message(line)


def test_requests_arrive_one_by_one_with_their_originals(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for name in ("one", "two"):
            path = tmp_path / name
            path.write_text(name)
            with path.open("rb") as file:
                socket.send_fds(ours, [encode_message({"name": name}), encode_message({"more": name})], [file.fileno()])
        ours.shutdown(socket.SHUT_WR)
        requests = Requests(theirs)

        for name in ("one", "two"):
            assert requests.receive() == {"name": name}
            original = requests.take_original()
            assert os.pread(original, 100, 0) == name.encode()
            os.close(original)
            assert requests.receive() == {"more": name}
        assert requests.receive() is None


def test_watermarks_arrive_whole_before_the_first_request(tmp_path: Path) -> None:
    """Also if they are longer than what a socket holds, and if lines are within them."""
    bodies = [bytes(range(256)) * 4096, b"", b'{"two": 2}\n' * 20_000]
    path = tmp_path / "one"
    path.write_text("one")
    ours, theirs = socket.socketpair()

    def send() -> None:
        ours.sendall(watermarks_message(bodies))
        with path.open("rb") as file:
            socket.send_fds(ours, [encode_message({"name": "one"})], [file.fileno()])
        ours.shutdown(socket.SHUT_WR)

    with ours, theirs, ThreadPoolExecutor() as threads:
        sending = threads.submit(send)
        requests = Requests(theirs)

        assert requests.receive_watermarks() == bodies
        assert requests.receive() == {"name": "one"}
        os.close(requests.take_original())
        assert requests.receive() is None
        sending.result()


@pytest.mark.parametrize("sent", [0, 5, 30])
def test_server_that_ends_before_all_watermarks_raises_connection_error(sent: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(watermarks_message([bytes(100)])[:sent])
        ours.shutdown(socket.SHUT_WR)

        with pytest.raises(ConnectionError):
            Requests(theirs).receive_watermarks()
