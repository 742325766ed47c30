"""The protocol between the server and its render workers."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from proxy import errors
from proxy.errors import RenderFailed, ServiceError
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured
from proxy.model import Fit, Format
from proxy.rendering.protocol import (
    decode_message,
    encode_message,
    inspect_request,
    parse_measured,
    parse_refusal,
    parse_targets,
    refusal_message,
    render_request,
)
from tests.unit.proxy.imaging.reference import LIMITS, target

TARGETS = [
    target(150, 150, Format.JPG),
    target(400, None, Format.PNG, fit=Fit.INSIDE, keep_exif=True),
    target(None, 800, Format.AVIF, fit=Fit.INSIDE, background="#204060"),
    target(2400, 2400, Format.WEBP),
    replace(target(400, 400, Format.JPG), score=80.5),
]


def test_render_request_survives_the_round_trip() -> None:
    message = decode_message(encode_message(render_request(Path('/tmp/a b\n"ü".jpg'), TARGETS, LIMITS, 5)))

    assert message["path"] == '/tmp/a b\n"ü".jpg'
    assert Limits(**message["limits"]) == LIMITS
    assert message["memory"] == 5
    assert parse_targets(message) == TARGETS
    assert [(type(one.fit), type(one.format)) for one in parse_targets(message)] == [(Fit, Format)] * 5


def test_measured_quality_survives_the_round_trip() -> None:
    measured = Measured(quality=83, score=80.25)

    assert parse_measured(decode_message(encode_message({"index": 0, "measured": asdict(measured)}))) == measured
    assert parse_measured(decode_message(encode_message({"index": 0}))) is None


@pytest.mark.parametrize("invalid", [{"quality": "x", "score": 1}, {"quality": 85, "score": float("nan")}])
def test_invalid_measured_quality_raises_value_error(invalid: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        parse_measured(decode_message(encode_message({"measured": invalid})))


def test_inspect_request_has_no_targets() -> None:
    message = decode_message(encode_message(inspect_request(Path("/tmp/x"), LIMITS, 5)))

    assert message == {"path": "/tmp/x", "limits": {"min_side": 100, "max_side": 10_000}, "memory": 5}


def test_message_is_one_line() -> None:
    line = encode_message({"detail": "two\nlines\r\n", "code": "\u2028"})

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_message(line) == {"detail": "two\nlines\r\n", "code": "\u2028"}


@pytest.mark.parametrize("line", [b"", b"\n", b"[]", b"null", b"1", b'"done"', b"{", b"\xff\xfe", b'{"a": 1} {"b": 2}'])
def test_line_that_is_not_one_object_raises_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_message(line)


REFUSALS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.Refused)
    and kind not in (errors.Refused, errors.OriginalDamaged)
]


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusal_keeps_its_type_and_text(kind: type[ServiceError]) -> None:
    error = parse_refusal(decode_message(encode_message(refusal_message(kind("Send another. Größe: 99x99")))))

    assert type(error) is kind
    assert str(error) == "Send another. Größe: 99x99"


@pytest.mark.parametrize("code", ["unauthorized", "internal", "", "no such", "__class__"])
def test_unknown_refusal_code_becomes_render_failed(code: str) -> None:
    error = parse_refusal({"refused": code, "detail": "believe me"})

    assert type(error) is RenderFailed
    assert "believe me" not in str(error)
