"""What a render process and its parent say to each other."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from proxy.errors import RenderFailed, ServiceError, TooManyPixels, TooSmall, Undecodable, UnsupportedFormat
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured
from proxy.model import Fit, Format
from proxy.rendering.protocol import (
    inspect_request,
    pack,
    parse_measured,
    parse_refusal,
    parse_targets,
    refusal,
    render_request,
    unpack,
)
from tests.unit.proxy.imaging.reference import LIMITS, target

TARGETS = [
    target(150, 150, Format.JPG),
    target(400, None, Format.PNG, fit=Fit.INSIDE, keep_exif=True),
    target(None, 800, Format.AVIF, fit=Fit.INSIDE, background="#204060"),
    target(2400, 2400, Format.WEBP),
    replace(target(400, 400, Format.JPG), score=80.5),
]


def test_a_request_arrives_as_it_was_sent() -> None:
    message = unpack(pack(render_request(Path('/tmp/a b\n"ü".jpg'), TARGETS, LIMITS, 5)))

    assert message["path"] == '/tmp/a b\n"ü".jpg'
    assert Limits(**message["limits"]) == LIMITS
    assert message["memory"] == 5
    assert parse_targets(message) == TARGETS
    assert [(type(one.fit), type(one.format)) for one in parse_targets(message)] == [(Fit, Format)] * 5


def test_what_was_measured_arrives_as_it_was() -> None:
    measured = Measured(quality=83, score=80.25)

    assert parse_measured(unpack(pack({"index": 0, "measured": asdict(measured)}))) == measured
    assert parse_measured(unpack(pack({"index": 0}))) is None


@pytest.mark.parametrize("nonsense", [{"quality": "x", "score": 1}, {"quality": 85, "score": float("nan")}])
def test_nonsense_was_not_measured(nonsense: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        parse_measured(unpack(pack({"measured": nonsense})))


def test_a_request_to_inspect_names_no_targets() -> None:
    message = unpack(pack(inspect_request(Path("/tmp/x"), LIMITS, 5)))

    assert message == {"path": "/tmp/x", "limits": {"min_side": 100, "max_side": 10_000}, "memory": 5}


def test_a_message_is_one_line() -> None:
    line = pack({"detail": "two\nlines\r\n", "code": "\u2028"})

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert unpack(line) == {"detail": "two\nlines\r\n", "code": "\u2028"}


@pytest.mark.parametrize("line", [b"", b"\n", b"[]", b"null", b"1", b'"done"', b"{", b"\xff\xfe", b'{"a": 1} {"b": 2}'])
def test_what_is_not_one_object_is_a_fault(line: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(line)


@pytest.mark.parametrize("kind", [UnsupportedFormat, Undecodable, TooSmall, TooManyPixels])
def test_a_refusal_arrives_as_what_it_was_with_its_text(kind: type[ServiceError]) -> None:
    error = parse_refusal(unpack(pack(refusal(kind("Send another. Größe: 99x99")))))

    assert type(error) is kind
    assert str(error) == "Send another. Größe: 99x99"


@pytest.mark.parametrize("code", ["unauthorized", "internal", "", "no such", "__class__"])
def test_a_child_cannot_make_its_parent_raise_anything_else(code: str) -> None:
    error = parse_refusal({"refused": code, "detail": "believe me"})

    assert type(error) is RenderFailed
    assert "believe me" not in str(error)
